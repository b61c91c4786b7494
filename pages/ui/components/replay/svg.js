// What the replay's charts are made of: SVG elements, lines, and a panel with its axes. Colours follow the theme by
// CSS.

import { make } from "../embedding/dom.js";
import { niceStep } from "../embedding/maths.js";

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(element, attributes);
  element.append(...children);
  return element;
}

export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

export const number = (value) => String(Number(value.toPrecision(3))).replace("-", "−");
export const percent = (value) => `${Math.round(value * 100)} %`;

export function grown(least, value) { // the end of an axis: 1, 2 or 5 times a power of ten
  return value > least && Number.isFinite(value) ? niceStep(value) : least;
}

export function highest(values) { // the largest finite number, at least 0
  let most = 0;
  for (const value of values) if (value > most && value < Infinity) most = value;
  return most;
}

export function line(xs, ys) { // a path through CSS px, broken where a number is missing
  let [d, pen] = ["", "M"];
  for (let i = 0; i < xs.length; i++) {
    const there = Number.isFinite(xs[i]) && Number.isFinite(ys[i]);
    if (there) d += `${pen}${xs[i].toFixed(1)} ${ys[i].toFixed(1)}`;
    pen = there ? "L" : "M";
  }
  return d;
}

export class Panel { // one pair of axes; what is drawn in `ink` is cut off at its edges
  constructor(title, format = number) {
    this.format = format;
    this.title = svg("text", { class: "title", y: -6 }, title);
    this.marks = svg("g");
    this.ink = svg("svg");
    this.element = svg("g", {}, this.marks, this.ink, this.title);
  }

  place({ left, top, width, height, x: [x0, x1], y: [y0, y1], labelled = true }) {
    Object.assign(this, { left, width, height });
    this.x = (value) => ((value - x0) / (x1 - x0)) * width;
    this.y = (value) => height - ((value - y0) / (y1 - y0)) * height;
    set(this.element, { transform: `translate(${left} ${top})` });
    set(this.ink, { width, height });
    const across = ticks(y0, y1, height / 26).map((value) => [
      svg("line", { class: "grid", x2: width, y1: this.y(value), y2: this.y(value) }),
      svg("text", { x: -6, y: this.y(value) + 3.5, "text-anchor": "end" }, this.format(value)),
    ]);
    const along = ticks(x0, x1, Math.min(6, width / 48)).map((value) => {
      const words = number(value);
      const anchor = words.length > 3 && this.x(value) > width - 12 ? "end" : "middle"; // not over the edge
      return svg("text", { x: this.x(value), y: height + 14, "text-anchor": anchor }, words);
    });
    this.marks.replaceChildren(...across.flat(), ...(labelled ? along : []));
  }
}

function ticks(low, high, most) {
  const step = niceStep((high - low) / Math.max(1, most));
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

// A figure with its caption and one drawing, drawn anew by draw(width) when the room for it changes.
export function figure(title, label, keys, draw) {
  const drawing = svg("svg", { role: "img", "aria-label": label });
  const caption = make("figcaption", "", make("b", "", title), ...keys);
  const element = make("figure", "chart", caption, make("div", "drawing", drawing));
  let drawn = 0;
  const observer = new ResizeObserver(([{ contentRect: { width } }]) => {
    if (!width || width === drawn) return;
    drawn = width;
    draw(width);
  });
  observer.observe(drawing.parentElement);
  return { element, drawing };
}

export function key(label, colour, dash, value = []) { // an entry of a legend
  const sample = svg("svg", { width: 18, height: 8, "aria-hidden": true });
  sample.append(svg("path", { d: "M1 4H17", stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash }));
  return make("span", "key", sample, label, ...value);
}
