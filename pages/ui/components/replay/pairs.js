// A run's loss against the distance, in two branches, and below it how many of the test pairs lie at each distance in
// the frame that is shown.

import { figure, grown, highest, key, line, Panel, percent, set, svg } from "./svg.js";

const HEIGHT = 232;
const EDGE = { left: 44, right: 10, top: 20, bottom: 34, between: 26 };
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

export class Pairs {
  constructor(run, limits, text) {
    Object.assign(this, { run, limits, frame: -1 });
    this.colours = [run.meta.same_colour, run.meta.different_colour];
    this.branches = run.branches();
    const keys = KINDS.map((kind, i) => key(text[kind], this.colours[i], DASHES[i]));
    const title = this.branches ? text.pairs : text.only_pairs;
    Object.assign(this, figure(title, text.pairs_label, keys, (width) => this.draw(width)));
    this.panels = [...(this.branches ? [new Panel(text.loss)] : []), new Panel(text.share, percent)];
    this.histogram = this.panels.at(-1);
    this.bars = KINDS.map((kind, i) =>
      svg("path", { class: `bars ${kind}`, fill: this.colours[i], stroke: this.colours[i] }));
    this.lines = (this.branches ?? []).slice(1).map((_, i) => svg("path", {
      class: `branch ${KINDS[i]}`, stroke: this.colours[i], "stroke-width": 2.2, "stroke-dasharray": DASHES[i],
    }));
    this.axis = svg("text", { class: "axis", "text-anchor": "middle" }, run.meta.axis);
    this.histogram.ink.append(...this.bars);
    if (this.branches) this.panels[0].ink.append(...this.lines);
    this.drawing.append(...this.panels.map((panel) => panel.element), this.axis);
  }

  draw(width) {
    const { limits, run: { meta } } = this;
    const room = { left: EDGE.left, width: width - EDGE.left - EDGE.right, x: [0, meta.d_max] };
    const whole = HEIGHT - EDGE.top - EDGE.bottom;
    const upper = this.branches ? Math.round((whole - EDGE.between) * 0.56) : -EDGE.between;
    const start = EDGE.top + upper + EDGE.between;
    if (this.branches) {
      const [curve] = this.panels;
      curve.place({ ...room, top: EDGE.top, height: upper, y: [-0.03 * limits.loss, limits.loss], labelled: false });
      const [at, ...losses] = this.branches;
      this.lines.forEach((path, i) => set(path, { d: line(...scaled(curve, at, losses[i])) }));
    }
    this.histogram.place({ ...room, top: start, height: HEIGHT - EDGE.bottom - start, y: [0, limits.share] });
    set(this.drawing, { width, height: HEIGHT });
    set(this.axis, { x: EDGE.left + room.width / 2, y: HEIGHT - 4 });
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
