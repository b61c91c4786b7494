// What a message says besides its points: words, legend and images, touched in the DOM only where they changed.

import { fill, make } from "../dom.js";
import { mark, MARKERS } from "./marks.js";

export function describe(view) {
  const { text = {}, classes = [], colours = [], markers = [], held_out: heldOut = [], sprite, ...meta } = view.meta;
  if (JSON.stringify(text) !== JSON.stringify(view.text)) name(view, text);
  view.note.textContent = meta.note ?? "";
  view.hint.hidden = view.n > 0;
  const summary = fill(text.summary, { ...meta, points: view.n });
  view.canvas.ariaLabel = view.n ? summary : text.empty ?? "";
  view.root.dataset.points = view.n;
  view.trails.ariaPressed = view.choices.toggles.trails ?? Boolean(meta.trails);
  view.images.ariaPressed = view.choices.toggles.images ?? false;
  view.images.disabled = !sprite;
  const appearance = JSON.stringify([classes, colours, markers, heldOut, text.held_out, meta.key]);
  if (appearance !== view.appearance) {
    Object.assign(view, { appearance, classes, colours, heldOut: new Set(heldOut) });
    view.outlines = classes.map((_, c) => MARKERS[markers[c]] ?? MARKERS.circle);
    view.paths = view.outlines.map((d) => new Path2D(d));
    view.painter.stamps.clear();
    view.legend.replaceChildren(...classes.map((_, c) => entry(view, c)));
  }
  if (sprite?.url !== view.url) fetchImages(view, sprite?.url);
}

function name(view, text) {
  view.text = text;
  for (const key of ["images", "trails"]) {
    view[key].textContent = text[key] ?? "";
    view[key].title = text[`${key}_help`] ?? "";
  }
  for (const [key, words] of Object.entries({ in: text.zoom_in, out: text.zoom_out, reset: text.reset })) {
    view[key].title = view[key].ariaLabel = words ?? "";
  }
  view.bar.ariaLabel = text.tools ?? "";
  view.legend.ariaLabel = text.legend ?? "";
  view.hint.textContent = text.empty ?? "";
  view.help.textContent = text.help ?? "";
  view.canvas.setAttribute("aria-description", text.help ?? "");
}

function entry(view, c) {
  const held = view.heldOut.has(c);
  const button = make("button", "", mark(view.outlines[c], view.colours[c], held), make("span", "", view.classes[c]));
  if (held) button.append(make("small", "held", view.text.held_out ?? ""));
  Object.assign(button, { type: "button", ariaPressed: !view.hidden.has(c) });
  button.onclick = () => view.flip(c);
  return button;
}

function fetchImages(view, url) {
  view.url = url;
  view.painter.atlas = null;
  const image = new Image();
  image.onload = () => {
    if (image.getAttribute("src") !== view.url) return; // a newer one is on its way
    view.painter.atlas = image;
    view.painter.stamps.clear();
    view.tell();
    view.wake();
  };
  if (url) image.src = url;
}
