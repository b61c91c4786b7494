// A run's loss against the distance, in two branches, and below it how many of the test pairs lie at each distance in
// the frame that is shown.

import { set, svg } from "../dom.js";
import { Chart, grown, highest, legendEntry, line, Panel, percent } from "./svg.js";

const LEAST_SHARE = 0.2;
const DASHES = ["6 4", "none"]; // same, different
export const KINDS = ["same", "different"];

// The similar branch rises without end, so the axis is made for the different one, twice its height.
export function lossLimit(runs) {
  return Math.max(0, ...runs.map((run) => {
    const [rising = 0, falling = 0] = (run.branches() ?? []).slice(1).map(highest);
    return grown(0, falling > 0 ? Math.min(rising, 2 * falling) : rising);
  })) || 1;
}

export const shareLimit = (runs) => grown(LEAST_SHARE, Math.max(...runs.map((run) => highest(run.arrays.shares))));

export class Pairs extends Chart {
  constructor(run, limits, text) {
    const colours = [run.meta.same_colour, run.meta.different_colour];
    const branches = run.branches();
    const entries = KINDS.map((kind, i) => legendEntry(text[kind], colours[i], DASHES[i]));
    super(branches ? text.pairs : text.only_pairs, text.pairs_label, entries, run.meta.axis);
    Object.assign(this, { run, branches, frame: -1 });
    this.histogram = new Panel(text.share, [0, limits.share], percent);
    this.panels = [this.histogram];
    if (branches) this.panels.unshift(new Panel(text.loss, [-0.03 * limits.loss, limits.loss]));
    this.bars = KINDS.map((kind, i) =>
      svg("path", { class: `bars ${kind}`, fill: colours[i], stroke: colours[i] }));
    this.lines = (branches ?? []).slice(1).map((_, i) => svg("path", {
      class: `branch ${KINDS[i]}`, stroke: colours[i], "stroke-width": 2.2, "stroke-dasharray": DASHES[i],
    }));
    this.histogram.ink.append(...this.bars);
    if (branches) this.panels[0].ink.append(...this.lines);
    this.drawing.append(...this.panels.map((panel) => panel.element), this.axis);
  }

  draw(width) {
    this.place(this.panels, width, [0, this.run.meta.d_max], 0.56);
    const [at, ...losses] = this.branches ?? [];
    this.lines.forEach((path, i) => set(path, { d: line(...scaled(this.panels[0], at, losses[i])) }));
    this.fill();
  }

  show(frame) {
    if (frame === this.frame) return;
    this.frame = frame;
    this.fill();
  }

  fill() {
    const { histogram, run } = this;
    if (!histogram.width || this.frame < 0) return;
    const wide = histogram.width / run.bins;
    this.bars.forEach((path, kind) => {
      const floor = histogram.y(0).toFixed(1);
      let d = `M0 ${floor}`;
      run.shares(this.frame, kind).forEach((share, bin) => {
        d += `V${histogram.y(share || 0).toFixed(1)}H${((bin + 1) * wide).toFixed(1)}`;
      });
      path.setAttribute("d", `${d}V${floor}`);
    });
  }
}

function scaled(panel, xs, ys) { // far outside is near enough
  const y = (value) => Math.max(-1000, Math.min(1000, panel.y(value)));
  return [Array.from(xs, panel.x), Array.from(ys, (value) => (Number.isNaN(value) ? NaN : y(value)))];
}
