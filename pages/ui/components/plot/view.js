// A plotly figure that lives: drawn once, then only updated, with lines that can be dragged (plot/handles.js).
//
// meta: {figure, plotly_url, height, handles, clickable, text}; text: {loading, failed, drag_hint, reset_axes,
// save_image, label}. A click into the first panel of a clickable figure sends "clicked", [x, y].

import { make, mounted } from "../dom.js";
import { unpack } from "../wire.js";
import { Handles, HANDLE_STYLE } from "./handles.js";

const CLICK_PX = 4; // a pointer that moves farther drags
const FIRST_PANEL = ".nsewdrag[data-subplot='xy']"; // without the titles, buttons and lines over it
const RANGE_KEY = /^([xy]axis\d*)\.range(?:\[0\])?$/;

const libraries = new Map();

// ---- the page's side: one DOM per view, built once ----

const STYLE = `
.view { position: relative; isolation: isolate; width: 100%; font-family: var(--st-font, sans-serif);
  color: var(--st-text-color, #31333f); transition: color 1ms; }
.plot { position: absolute; inset: 0; }
.message { position: absolute; inset: 0; display: grid; place-items: center; opacity: .65; font-size: 14px; }
.message:empty { display: none; }
`;

class View {
  constructor(parent) {
    Object.assign(this, { zoom: {}, frames: 0, plot: make("div", "plot"), message: make("div", "message") });
    this.plot.role = "figure";
    this.message.role = "status";
    this.plotlyStyle = make("style", "");
    this.root = make("div", "view", make("style", "", STYLE + HANDLE_STYLE), this.plotlyStyle, this.plot, this.message);
    this.handles = new Handles(this, () => draw(this));
    parent.append(this.root);
    listenToClicks(this);
    // The theme's variables cannot be observed; a colour that follows one can.
    this.root.addEventListener("transitionend", (event) => event.target === this.root && draw(this));
    this.resized = new ResizeObserver(() => (this.root.isConnected ? draw(this) : leave(this)));
    this.resized.observe(this.root);
  }

  update(data, send) {
    this.send = send;
    if (!data || equal(data, this.data)) return; // a page sends what it has
    this.data = data;
    this.meta = unpack(data).meta;
    this.root.dataset.frames = ++this.frames;
    this.root.style.height = `${this.meta.height}px`;
    this.plot.ariaLabel = this.meta.text.label ?? "";
    const revision = this.meta.figure.layout?.uirevision;
    if (revision !== this.revision) this.zoom = {};
    this.revision = revision;
    this.handles.receive(this.meta.handles, this.meta.text);
    draw(this);
  }
}

function leave(view) {
  view.resized.disconnect();
  if (view.drawn) window.Plotly.purge(view.plot);
  view.drawn = false;
  view.root.remove(); // mounted anew where its parent comes back
}

export const render = mounted(View, leave);

function equal(bytes, others) {
  return bytes.length === others?.length && bytes.every((byte, i) => byte === others[i]);
}

// ---- plotly ----

function library(url) {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  if (!libraries.has(url)) {
    libraries.set(url, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = url;
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => {
        libraries.delete(url); // the next update tries again
        script.remove();
        reject(new Error(url));
      };
      document.head.append(script);
    }));
  }
  return libraries.get(url);
}

async function draw(view) {
  view.stale = true;
  if (view.drawing || !view.meta || !view.root.clientWidth) return;
  view.drawing = true;
  try {
    if (!view.drawn) view.message.textContent = view.meta.text.loading ?? "";
    const Plotly = await library(view.meta.plotly_url);
    while (view.stale && view.root.isConnected) {
      view.stale = false;
      const { data, layout } = dressed(view);
      if (view.drawn) await Plotly.react(view.plot, data, layout);
      else await start(view, Plotly, data, layout);
      borrowStyle(view);
      view.handles.place();
      view.root.dataset.drawn = view.root.dataset.frames;
    }
    view.message.textContent = "";
  } catch (error) {
    view.message.textContent = view.meta.text.failed ?? "";
    console.warn(error);
  } finally {
    view.drawing = false;
  }
}

async function start(view, Plotly, data, layout) {
  const { text } = view.meta;
  const buttons = [
    { name: "reset_axes", title: text.reset_axes ?? "", icon: Plotly.Icons.home, click: () => resetZoom(view) },
    { name: "save_image", title: text.save_image ?? "", icon: Plotly.Icons.camera, click: () => saveImage(view, Plotly) },
  ];
  view.drawn = true;
  await Plotly.newPlot(view.plot, data, layout, {
    displaylogo: false, displayModeBar: "hover", modeBarButtons: [buttons], doubleClick: false, showTips: false,
  });
  view.plot.on("plotly_relayout", (change) => keepZoom(view, change));
  view.plot.on("plotly_doubleclick", () => resetZoom(view));
  view.plot.on("plotly_relayouting", () => view.handles.place());
}

// Plotly forgets a zoom when the figure's own range grows; the user's zoom must win.
function keepZoom(view, change) {
  for (const key of Object.keys(change)) {
    const axis = RANGE_KEY.exec(key)?.[1];
    if (axis) view.zoom[axis] = [...view.plot.layout[axis].range];
  }
  view.handles.place();
}

function resetZoom(view) {
  view.zoom = {};
  draw(view);
}

function saveImage(view, Plotly) {
  const { data, layout } = dressed(view);
  const background = theme(view).background;
  Plotly.downloadImage({ data, layout: { ...layout, paper_bgcolor: background } }, { format: "png", scale: 2 });
}

// Plotly writes its rules into the document's head, where a shadow root does not see them.
function borrowStyle(view) {
  if (view.root.getRootNode() === document) return;
  const sheets = document.querySelectorAll('style[id^="plotly.js-style-"]');
  const rules = [...sheets].flatMap((style) => [...style.sheet.cssRules].map((rule) => rule.cssText)).join("\n");
  if (rules !== view.borrowed) view.plotlyStyle.textContent = view.borrowed = rules;
}

function theme(view) {
  const style = getComputedStyle(view.root);
  const variable = (name, fallback) => style.getPropertyValue(`--st-${name}`).trim() || fallback;
  const [red, green, blue] = style.color.match(/[\d.]+/g);
  return {
    text: style.color,
    faint: (alpha) => `rgba(${red},${green},${blue},${alpha})`,
    family: style.fontFamily,
    background: variable("background-color", "#ffffff"),
    raised: variable("secondary-background-color", "#f0f2f6"),
  };
}

function dressed(view) {
  const { figure, height } = view.meta;
  const { text, faint, family, raised, background } = theme(view);
  const font = { color: text, family, size: 12 };
  const layout = structuredClone(figure.layout ?? {});
  Object.assign(layout, { autosize: false, width: view.root.clientWidth, height, font: { ...font, ...layout.font } });
  layout.plot_bgcolor = background; // plotly derives outlines from it, and takes "transparent" for white
  layout.hoverlabel = { bgcolor: raised, bordercolor: faint(0.2), font, ...layout.hoverlabel };
  layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: faint(0.35), activecolor: faint(0.8), ...layout.modebar };
  // A finger that starts on the plot scrolls the page.
  layout.dragmode = matchMedia("(pointer: coarse)").matches ? false : (layout.dragmode ?? "zoom");
  for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
    const axis = layout[name];
    layout[name] = { gridcolor: faint(0.1), linecolor: faint(0.3), zerolinecolor: faint(0.3), ...axis };
    if (name === "xaxis" && layout.hovermode === "x unified") {
      Object.assign(layout[name], { spikecolor: faint(0.5), spikethickness: 1, spikedash: "solid" });
    }
    layout[name].tickfont = { color: faint(0.75), ...axis.tickfont };
    if (axis.title) layout[name].title = { font: { size: 12 }, ...axis.title };
    if (view.zoom[name]) layout[name].range = [...view.zoom[name]];
    // An axis that grew under the pointer would change the value that the pointer means.
    else if (view.handles.held?.[name]) layout[name].range = [...view.handles.held[name]];
  }
  return { data: (figure.data ?? []).map((trace) => ({ ...trace })), layout };
}

// ---- clicks: those of plotly know only its points ----

function listenToClicks(view) {
  view.plot.addEventListener("pointerdown", (start) => {
    if (start.button || !view.meta?.clickable || !start.target.matches(FIRST_PANEL)) return;
    // Plotly covers the page while a button is down: only the window sees it come up.
    window.addEventListener("pointerup", (end) => {
      const way = Math.hypot(end.clientX - start.clientX, end.clientY - start.clientY);
      if (end.pointerId !== start.pointerId || way > CLICK_PX) return;
      const box = view.root.getBoundingClientRect();
      const { xaxis, yaxis } = view.plot._fullLayout;
      const x = xaxis.p2d(start.clientX - box.left - xaxis._offset);
      view.send?.("clicked", [x, yaxis.p2d(start.clientY - box.top - yaxis._offset)]);
    }, { once: true, capture: true });
  }, true);
}
