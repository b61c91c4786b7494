// How a run went: its loss above, its scores below, over the steps, with a line at the step that is shown and the
// values there. A click, or a drag, goes to a step.

import { make } from "../embedding/dom.js";
import { latest } from "./message.js";
import { figure, grown, highest, key, line, number, Panel, set, svg } from "./svg.js";

const HEIGHT = 232;
const EDGE = { left: 44, right: 10, top: 20, bottom: 34, between: 26 };

export function historyLimit(runs) {
  const upper = runs.flatMap((run) => run.series().filter(({ panel }) => panel === "loss"));
  return grown(0, Math.max(0, ...upper.map(({ values }) => highest(values)))) || 1;
}

export class History {
  constructor(run, limits, text, seek) { // seek(step)
    Object.assign(this, { limits, text, step: null, series: run.series() });
    this.values = this.series.map(() => make("span", "value")); // no live region: it would never be quiet
    const keys = this.series.map(({ label, colour, dotted }, i) => key(label, colour, dash(dotted), [this.values[i]]));
    Object.assign(this, figure(text.history, text.history_label, keys, (width) => this.draw(width)));
    this.panels = { loss: new Panel(text.history_loss) };
    if (this.series.some(({ panel }) => panel === "score")) this.panels.score = new Panel(text.history_scores);
    this.lines = this.series.map(({ name, colour, dotted, panel }) => this.panels[panel].ink.appendChild(svg("path", {
      "data-name": name, stroke: colour, "stroke-width": 1.8, "stroke-dasharray": dash(dotted),
    })));
    this.cursor = svg("line", { class: "cursor" });
    this.axis = svg("text", { class: "axis", "text-anchor": "middle" }, text.history_step);
    this.drawing.append(...Object.values(this.panels).map((panel) => panel.element), this.cursor, this.axis);
    this.listen(seek);
  }

  listen(seek) {
    const { drawing } = this;
    drawing.classList.add("seek");
    const go = (event) => {
      const { left, width } = this.panels.loss;
      const x = event.clientX - drawing.getBoundingClientRect().left - left;
      seek((x / width) * this.limits.steps);
    };
    drawing.onpointerdown = (event) => {
      if (event.button !== 0) return;
      drawing.setPointerCapture(event.pointerId);
      go(event);
    };
    drawing.onpointermove = (event) => drawing.hasPointerCapture(event.pointerId) && go(event);
  }

  draw(width) {
    const { loss, score } = this.panels;
    const room = { left: EDGE.left, width: width - EDGE.left - EDGE.right, x: [0, this.limits.steps] };
    const whole = HEIGHT - EDGE.top - EDGE.bottom;
    const upper = score ? Math.round((whole - EDGE.between) / 2) : whole;
    loss.place({ ...room, top: EDGE.top, height: upper, y: [0, this.limits.history], labelled: !score });
    const start = EDGE.top + upper + EDGE.between;
    score?.place({ ...room, top: start, height: HEIGHT - EDGE.bottom - start, y: [-0.02, 1.02] });
    this.series.forEach(({ at, values, panel }, i) => {
      const { x, y } = this.panels[panel];
      const there = Array.from(values.keys()).filter((k) => Number.isFinite(values[k])); // not every score each time
      set(this.lines[i], { d: line(there.map((k) => x(at[k])), there.map((k) => y(values[k]))) });
    });
    set(this.drawing, { width, height: HEIGHT });
    set(this.axis, { x: EDGE.left + room.width / 2, y: HEIGHT - 4 });
    set(this.cursor, { y1: EDGE.top, y2: HEIGHT - EDGE.bottom });
    this.point();
  }

  show(step) {
    if (step === this.step) return;
    this.step = step;
    this.series.forEach(({ at, values }, i) => {
      this.values[i].textContent = known(at, values, step) ?? this.text.no_value;
    });
    this.point();
  }

  point() {
    if (!this.panels.loss.x || this.step === null) return;
    const x = EDGE.left + this.panels.loss.x(this.step);
    set(this.cursor, { x1: x, x2: x });
  }
}

const dash = (dotted) => (dotted ? "2 3" : "none");

function known(at, values, step) { // the newest value at or before a step
  if (!at.length || at[0] > step) return null;
  for (let i = latest(at, step); i >= 0; i--) if (Number.isFinite(values[i])) return number(values[i]);
  return null;
}
