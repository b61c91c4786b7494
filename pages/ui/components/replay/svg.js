// What the replay's charts are made of: SVG elements, lines, and a panel with its axes. Colours follow the theme by
// CSS.

import { make, set, svg } from "../dom.js";
import { niceStep } from "../embedding/maths.js";

export const HEIGHT = 232;
export const EDGE = { left: 44, right: 10, top: 20, bottom: 34, between: 26 };

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

export class Panel { // one pair of axes, whose y has two ends; what is drawn in `ink` is cut off at its edges
  constructor(title, ends, format = number) {
    Object.assign(this, { ends, format });
    this.title = svg("text", { class: "title", y: -6 }, title);
    this.marks = svg("g");
    this.ink = svg("svg");
    this.element = svg("g", {}, this.marks, this.ink, this.title);
  }

  place({ left, top, width, height, x: [x0, x1], labelled }) {
    const [y0, y1] = this.ends;
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

// A figure with its caption and panels over one x, drawn anew by draw(width) when the room for them changes.
export class Chart {
  constructor(title, label, entries, axis) {
    this.drawing = svg("svg", { role: "img", "aria-label": label });
    this.axis = svg("text", { class: "axis", "text-anchor": "middle" }, axis);
    const caption = make("figcaption", "", make("b", "", title), ...entries);
    this.element = make("figure", "chart", caption, make("div", "drawing", this.drawing));
    let drawn = 0;
    const observer = new ResizeObserver(([{ contentRect: { width } }]) => {
      if (!width || width === drawn) return;
      drawn = width;
      this.draw(width);
    });
    observer.observe(this.drawing.parentElement);
  }

  // Places panels from the top; the first of two takes `part` of the height, the last one names the x.
  place(panels, width, x, part) {
    const room = { left: EDGE.left, width: width - EDGE.left - EDGE.right, x };
    const whole = HEIGHT - EDGE.top - EDGE.bottom;
    const upper = panels.length > 1 ? Math.round((whole - EDGE.between) * part) : -EDGE.between;
    panels.forEach((panel, i) => {
      const last = i === panels.length - 1;
      const [top, height] = last ? [EDGE.top + upper + EDGE.between, whole - upper - EDGE.between] : [EDGE.top, upper];
      panel.place({ ...room, top, height, labelled: last });
    });
    set(this.drawing, { width, height: HEIGHT });
    set(this.axis, { x: EDGE.left + room.width / 2, y: HEIGHT - 4 });
  }
}

export function legendEntry(label, colour, dash, value = []) {
  const sample = svg("svg", { width: 18, height: 8, "aria-hidden": true });
  sample.append(svg("path", { d: "M1 4H17", stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash }));
  return make("span", "legend-entry", sample, label, ...value);
}
