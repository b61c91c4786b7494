// How a run went: its loss above, its scores below, over the steps, with a line at the step that is shown and the
// values there. A click, or a drag, goes to a step.

import { make, set, svg } from "../dom.js";
import { latest } from "./message.js";
import { Chart, EDGE, grown, HEIGHT, highest, legendEntry, line, number, Panel } from "./svg.js";

export function historyLimit(runs) {
  const upper = runs.flatMap((run) => run.series().filter(({ panel }) => panel === "loss"));
  return grown(0, Math.max(0, ...upper.map(({ values }) => highest(values)))) || 1;
}

export class History extends Chart {
  constructor(run, limits, text, seek) { // seek(step)
    const series = run.series();
    const values = series.map(() => make("span", "value")); // no live region: it would never be quiet
    const entries = series.map(({ label, colour, dotted }, i) => legendEntry(label, colour, dash(dotted), [values[i]]));
    super(text.history, text.history_label, entries, text.history_step);
    Object.assign(this, { limits, text, series, values, step: null });
    this.panels = { loss: new Panel(text.history_loss, [0, limits.history]) };
    if (series.some(({ panel }) => panel === "score")) {
      this.panels.score = new Panel(text.history_scores, [-0.02, 1.02]);
    }
    this.lines = series.map(({ name, colour, dotted, panel }) => this.panels[panel].ink.appendChild(svg("path", {
      "data-name": name, stroke: colour, "stroke-width": 1.8, "stroke-dasharray": dash(dotted),
    })));
    this.cursor = svg("line", { class: "cursor" });
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
    this.place(Object.values(this.panels), width, [0, this.limits.steps], 0.5);
    this.series.forEach(({ at, values, panel }, i) => {
      const { x, y } = this.panels[panel];
      const there = Array.from(values.keys()).filter((k) => Number.isFinite(values[k])); // not every score each time
      set(this.lines[i], { d: line(there.map((k) => x(at[k])), there.map((k) => y(values[k]))) });
    });
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
