// One run of the replay: its title, its embedding, and the points whose neighbours changed most. At rest it shows a
// recorded frame; while a film plays, its points are between two.

import { fill, make } from "../dom.js";
import { thumb } from "../embedding/dom.js";
import { View } from "../embedding/view.js";
import { latest } from "./message.js";
import { Restless } from "./restless.js";

const TRAIL = 12; // frames

export class Stage {
  constructor(run, title, text) {
    Object.assign(this, { run, text, frame: -1, target: -1, marking: false, restless: new Restless(run) });
    this.seen = make("div", "picture");
    this.view = new View(this.seen);
    this.view.connect();
    const { labels } = run.arrays;
    this.view.show({ ...run.meta, text: text.embedding }, { xy: run.frames[0], neighbours: run.neighbours[0], labels });
    this.list = make("div", "restless");
    this.list.hidden = true;
    this.seen.append(this.list);
    this.heading = make("h3", "");
    this.charts = make("div", "charts");
    const head = make("div", "head-line", this.heading, this.view.bar);
    this.element = make("section", "run", head, this.seen, this.charts);
    this.name(title);
  }

  name(title) { this.title = this.heading.textContent = this.element.ariaLabel = title; }

  rest(step) { // at the latest frame up to this step
    const { view, run } = this;
    this.turn(latest(run.steps, step));
    this.aim(this.frame);
    view.springs.depart(!view.calm.matches);
    view.wake();
  }

  glide(at) { // between the frames around a moment
    const { view, run, view: { springs } } = this;
    const [frame, next, part] = run.between(at);
    this.turn(frame);
    this.aim(part ? next : frame);
    const [from, to] = [run.frames[frame], run.frames[next]];
    for (let i = 0; i < from.length; i++) springs.at[i] = from[i] + (to[i] - from[i]) * part;
    springs.speed.fill(0);
    springs.until = 0;
    view.wake();
  }

  aim(target) { // the frame that the points are at, or on their way to
    const { view, run } = this;
    if (target === this.target) return;
    this.target = target;
    view.xy = run.frames[target];
    view.history = run.frames.slice(Math.max(0, target - TRAIL), target + 1);
  }

  turn(frame) { // what a frame says of the points: neighbours, and how often these changed
    const { view, run } = this;
    if (frame === this.frame) return;
    this.frame = frame;
    view.neighbours = run.neighbours[frame];
    if (view.pinned >= 0 || view.hovered >= 0) view.tell();
    if (this.marking) this.mark();
  }

  markRestless(on) {
    this.marking = on;
    this.list.hidden = !on;
    if (on) this.mark();
    else this.view.marked = [];
    this.view.wake();
  }

  mark() {
    const { view, text, restless } = this;
    const totals = restless.totals(this.frame);
    view.marked = restless.most(this.frame);
    this.buttons ??= this.list.appendChild(make("div", "tiles"));
    this.summary ??= this.list.insertBefore(make("p", ""), this.buttons);
    this.summary.textContent = view.marked.length ? text.restless_list : text.restless_none;
    while (this.buttons.children.length > view.marked.length) this.buttons.lastChild.remove();
    view.marked.forEach((i, rank) => { // the same buttons, so that one keeps the focus
      const button = this.buttons.children[rank] ?? this.buttons.appendChild(make("button", "tile"));
      button.type = "button";
      button.onclick = () => view.set("pinned", view.pinned === i ? -1 : i);
      button.title = button.ariaLabel =
        fill(text.restless_point, { index: i, name: view.classes[view.labels[i]], changes: totals[i] });
      if (button.dataset.point === String(i) && view.painter.atlas) return;
      button.dataset.point = i;
      button.replaceChildren(thumb(view, i, 30));
    });
  }
}

// Runs of the same images point at the same things; all share what was chosen to be seen.
export function link(stages) {
  for (const { view, run: { meta, n } } of stages) {
    view.choices = stages[0].view.choices;
    const same = stages.filter(({ run }) => run.meta.key === meta.key && run.n === n);
    view.linked = same.map((stage) => stage.view).filter((other) => other !== view);
  }
}

// All frames of all runs fit into the same axes, so that nothing jumps and sizes can be compared.
export function share(stages) {
  for (const dim of [2, 3]) {
    const alike = stages.filter(({ view }) => view.dim === dim);
    let bounds = null;
    for (const { view, run } of alike) {
      Object.assign(view.camera, { bounds });
      Object.assign(view, { xy: run.xy }); // of all frames
      view.camera.grow();
      Object.assign(view, { xy: run.frames[0] });
      ({ bounds } = view.camera);
    }
    for (const { view: { camera } } of alike) {
      Object.assign(camera, { bounds, least: bounds });
      camera.aim();
    }
  }
}
