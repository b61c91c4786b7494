// A plotly figure that lives: drawn once, then only updated, with an optional line that can be dragged.
//
// meta: {figure, plotly_url, height, handle, text}; text: {loading, failed, drag_hint, reset_axes, save_image, label}.
// The line is "dragged" while a pointer holds it and "dropped" at the end, or by a key.
// handle: null or {value, low, high, step, label, key, kind}; kind is "vertical" (x = value, the default) or
// "diagonal" (y = x + value).

const SEND_EVERY_MS = 100;
const HOLD_MS = 1000; // how long the user's own value stands against older ones from the server
const GRIP_PX = 44;
const RANGE_KEY = /^([xy]axis\d*)\.range(?:\[0\])?$/;

const views = new WeakMap();
const libraries = new Map();

export function render({ parentElement, data, setTriggerValue }) {
  const view = views.get(parentElement) ?? mount(parentElement);
  view.send = setTriggerValue;
  if (!data || equal(data, view.data)) return; // a page sends what it has
  view.data = data;
  view.meta = unpackMeta(data);
  view.root.dataset.frames = ++view.frames;
  view.root.style.height = `${view.meta.height}px`;
  view.plot.setAttribute("aria-label", view.meta.text.label ?? "");
  const revision = view.meta.figure.layout?.uirevision;
  if (revision !== view.revision) view.zoom = {};
  view.revision = revision;
  receiveHandle(view);
  draw(view);
}

function equal(bytes, others) {
  return bytes.length === others?.length && bytes.every((byte, i) => byte === others[i]);
}

function unpackMeta(data) {
  const size = new DataView(data.buffer, data.byteOffset, 4).getUint32(0, true);
  return JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + size))).meta;
}

// ---- the page's side: one DOM per view, built once ----

const STYLE = `
.view { position: relative; width: 100%; font-family: var(--st-font, sans-serif); color: var(--st-text-color, #31333f);
  transition: color 1ms; }
.plot { position: absolute; inset: 0; }
.message { position: absolute; inset: 0; display: grid; place-items: center; opacity: .65; font-size: 14px; }
.message:empty, .handle[hidden] { display: none; }
.handle { --c: var(--st-text-color, #31333f); --back: var(--st-background-color, #fff); position: absolute; inset: 0; pointer-events: none; user-select: none;
  -webkit-user-select: none; }
.rail { position: absolute; width: 9px; margin-left: -4.5px; transform-origin: top; pointer-events: auto; cursor: ew-resize; }
.rail::after { content: ""; position: absolute; inset: 0 3.75px; background: var(--c); opacity: .6; }
.handle.beyond .rail { display: none; }
.grip { position: absolute; width: ${GRIP_PX}px; height: ${GRIP_PX}px; margin: -${GRIP_PX / 2}px; pointer-events: auto;
  cursor: ew-resize; touch-action: none; display: grid; place-items: center; outline: none; }
.knob { width: 12px; height: 24px; border-radius: 7px; background: var(--c); display: flex; gap: 2px;
  align-items: center; justify-content: center; box-shadow: 0 0 0 2px var(--back); }
.knob::before, .knob::after { content: ""; width: 1px; height: 10px; background: var(--back); }
.diagonal .rail, .diagonal .grip { cursor: ns-resize; }
.grip:hover .knob, .dragging .knob, .grip:focus-visible .knob { background: var(--st-primary-color, #ff4b4b); }
.grip:focus-visible .knob { outline: 2px solid var(--st-primary-color, #ff4b4b); outline-offset: 4px; }
.tag { position: absolute; top: 50%; left: calc(50% + 14px); transform: translateY(-50%); white-space: nowrap;
  font-size: 12px; font-weight: 600; padding: 1px 7px; border-radius: 9px; color: var(--st-text-color, #31333f);
  background: var(--st-secondary-background-color, #f0f2f6); font-variant-numeric: tabular-nums; }
.grip.flip .tag { left: auto; right: calc(50% + 14px); }
`;

function element(className, parent) {
  const node = document.createElement("div");
  node.className = className;
  parent.append(node);
  return node;
}

function mount(parent) {
  const root = element("view", parent);
  const style = document.createElement("style");
  style.textContent = STYLE;
  const plotlyStyle = document.createElement("style");
  root.append(style, plotlyStyle);
  const plot = element("plot", root);
  plot.setAttribute("role", "figure");
  const message = element("message", root);
  message.setAttribute("role", "status");
  const handle = element("handle", root);
  handle.hidden = true;
  const rail = element("rail", handle);
  const grip = element("grip", handle);
  element("knob", grip);
  const tag = element("tag", grip);
  grip.tabIndex = 0;
  grip.setAttribute("role", "slider");
  const view = { root, plotlyStyle, plot, message, handle, rail, grip, tag, zoom: {}, frames: 0, mounts: 0, offer: throttle() };
  root.dataset.mounts = ++view.mounts;
  root.dataset.frames = 0;
  views.set(parent, view);
  listenToHandle(view);
  // The theme's variables cannot be observed; a colour that follows one can.
  root.addEventListener("transitionend", (event) => event.target === root && draw(view));
  view.resized = new ResizeObserver(() => (root.isConnected ? draw(view) : leave(view, parent)));
  view.resized.observe(root);
  return view;
}

function leave(view, parent) {
  view.resized.disconnect();
  if (view.drawn) window.Plotly.purge(view.plot);
  if (views.get(parent) === view) views.delete(parent);
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
      place(view);
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
  view.plot.on("plotly_relayouting", () => place(view));
}

// Plotly forgets a zoom when the figure's own range grows; the user's zoom must win.
function keepZoom(view, change) {
  for (const key of Object.keys(change)) {
    const axis = RANGE_KEY.exec(key)?.[1];
    if (axis) view.zoom[axis] = [...view.plot.layout[axis].range];
  }
  place(view);
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
    else if (view.drag && view.drag.ranges[name]) layout[name].range = [...view.drag.ranges[name]];
  }
  return { data: (figure.data ?? []).map((trace) => ({ ...trace })), layout };
}

// ---- the handle: the value is the user's while they hold it, else the server's ----

function receiveHandle(view) {
  const { handle, text } = view.meta;
  if (!handle) {
    view.spec = null;
    view.handle.hidden = true;
    release(view);
    delete view.root.dataset.handle;
    return;
  }
  const changed = view.spec?.key !== handle.key;
  view.spec = handle;
  if (changed) release(view);
  else if (view.drag || view.held) {
    view.pending = handle.value;
    if (!view.drag && same(view, handle.value, view.value)) release(view);
    return;
  }
  view.handle.classList.toggle("diagonal", handle.kind === "diagonal");
  view.grip.title = text.drag_hint ?? "";
  view.grip.setAttribute("aria-label", handle.label);
  show(view, handle.value);
}

function release(view) {
  clearTimeout(view.held);
  view.held = view.drag = view.pending = null;
  view.handle.classList.remove("dragging");
  view.offer.cancel();
}

function same(view, a, b) {
  return Math.abs(a - b) < view.spec.step / 2;
}

function digits(step) {
  return Math.max(0, Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)));
}

function rounded({ low, high, step }, value) {
  const stepped = low + Math.round((value - low) / step) * step;
  return Number(Math.min(high, Math.max(low, stepped)).toFixed(digits(step) + 2));
}

function show(view, value) {
  view.value = value;
  const { low, high, step, label } = view.spec;
  view.root.dataset.handle = value;
  const words = value.toFixed(digits(step));
  view.tag.textContent = `${label} ${words}`;
  for (const [name, at] of [["valuemin", low], ["valuemax", high], ["valuenow", value], ["valuetext", words]]) {
    view.grip.setAttribute(`aria-${name}`, at);
  }
  place(view);
}

function place(view) {
  const full = view.plot._fullLayout;
  if (!view.spec || !view.drawn || !full?.xaxis) return;
  const x = full.xaxis;
  const ys = Object.keys(full).filter((key) => /^yaxis\d*$/.test(key)).map((key) => full[key]);
  const top = Math.min(...ys.map((y) => y._offset));
  const foot = Math.max(...ys.map((y) => y._offset + y._length));
  const left = x._offset;
  const right = x._offset + x._length;
  const line = view.spec.kind === "diagonal" ? diagonal(view, full) : vertical(view, x, ys, top, foot);
  const { grip, rail } = line;
  const beyond = grip.x < left - 0.5 || grip.x > right + 0.5 || grip.y < top - 0.5 || grip.y > foot + 0.5;
  view.handle.hidden = false;
  view.handle.classList.toggle("beyond", beyond);
  const gripX = Math.min(right, Math.max(left, grip.x));
  view.grip.style.left = `${gripX}px`;
  view.grip.style.top = `${Math.min(foot, Math.max(top, grip.y))}px`;
  view.grip.classList.toggle("flip", gripX + 30 + view.tag.offsetWidth > right);
  Object.assign(view.rail.style, {
    left: `${rail.x}px`, top: `${rail.y}px`, height: `${rail.length}px`, transform: `rotate(${rail.turn}rad)`,
  });
}

// The grip sits under the first panel: between two panels it covers neither.
function vertical(view, x, ys, top, foot) {
  const at = x._offset + x.d2p(view.value);
  const end = ys[0]._offset + ys[0]._length;
  const next = Math.min(foot, ...ys.slice(1).map((y) => y._offset).filter((y) => y > end));
  return { grip: { x: at, y: (end + next) / 2 }, rail: { x: at, y: top, length: foot - top, turn: 0 } };
}

function diagonal(view, { xaxis: x, yaxis: y }) {
  const [x0, x1] = x.range;
  const [y0, y1] = y.range;
  const clip = (at) => Math.min(x1, Math.max(x0, at));
  const from = clip(y0 - view.value);
  const to = clip(y1 - view.value);
  const point = (at) => ({ x: x._offset + x.d2p(at), y: y._offset + y.d2p(at + view.value) });
  const a = point(from);
  const b = point(to);
  return {
    grip: point(from + (to - from) * 0.12),
    rail: { x: a.x, y: a.y, length: Math.hypot(b.x - a.x, b.y - a.y), turn: Math.atan2(a.x - b.x, b.y - a.y) },
  };
}

function valueAt(view, px, py) {
  const { xaxis: x, yaxis: y } = view.plot._fullLayout;
  const at = x.p2d(px - x._offset);
  return view.spec.kind === "diagonal" ? y.p2d(py - y._offset) - at : at;
}

function move(view, value) {
  show(view, rounded(view.spec, value));
  clearTimeout(view.held);
  view.held = setTimeout(() => settle(view), HOLD_MS);
  const name = view.drag ? "dragged" : "dropped";
  view.offer.soon(view.value, (last) => view.send?.(name, last));
}

function settle(view) {
  view.held = null;
  const { pending } = view;
  if (view.drag || pending == null) return;
  view.pending = null;
  show(view, pending);
}

function listenToHandle(view) {
  const local = (event) => {
    const box = view.root.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const grab = (event) => {
    if (event.button || view.drag || !view.spec || (event.pointerType === "touch" && event.currentTarget === view.rail)) return;
    event.preventDefault();
    view.grip.focus({ preventScroll: true });
    event.currentTarget.setPointerCapture(event.pointerId);
    const ranges = {};
    for (const [key, axis] of Object.entries(view.plot._fullLayout)) {
      if (/^[xy]axis\d*$/.test(key)) ranges[key] = [...axis.range];
    }
    // A line beyond the axis is taken up where its grip is, not where the line would be.
    const offset = view.handle.classList.contains("beyond") ? 0 : view.value - valueAt(view, ...local(event));
    view.drag = { pointer: event.pointerId, offset, ranges, moved: false };
    view.handle.classList.add("dragging");
  };
  const drag = (event) => {
    if (event.pointerId !== view.drag?.pointer) return;
    const value = rounded(view.spec, valueAt(view, ...local(event)) + view.drag.offset);
    if (value === view.value) return;
    view.drag.moved = true;
    move(view, value);
  };
  const drop = (event) => {
    if (event.pointerId !== view.drag?.pointer) return;
    const { moved } = view.drag;
    view.drag = null;
    view.handle.classList.remove("dragging");
    view.offer.cancel();
    if (moved) view.send?.("dropped", view.value);
    draw(view);
  };
  for (const node of [view.grip, view.rail]) {
    node.addEventListener("pointerdown", grab);
    node.addEventListener("pointermove", drag);
    node.addEventListener("pointerup", drop);
    node.addEventListener("pointercancel", drop);
  }
  view.grip.addEventListener("keydown", (event) => {
    const { low, high, step } = view.spec;
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    const value = { Home: low, End: high }[event.key] ?? (by && view.value + by * step);
    if (value === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    move(view, value);
  });
}

// At most one call in SEND_EVERY_MS: the first value at once, then always the newest.
function throttle() {
  let timer = null;
  let waiting = null;
  const fire = () => {
    timer = null;
    if (!waiting) return;
    const { value, send } = waiting;
    waiting = null;
    timer = setTimeout(fire, SEND_EVERY_MS);
    send(value);
  };
  return {
    soon(value, send) {
      waiting = { value, send };
      if (timer === null) fire();
    },
    cancel() {
      waiting = null;
    },
  };
}
