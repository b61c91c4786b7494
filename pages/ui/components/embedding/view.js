// The embedding view: a scatter plot of image embeddings on one canvas, in 2-D or 3-D, that follows a training run.
//
// The DOM is built once per parent element; later calls of render() only hand over new numbers. Points follow their
// newest place on springs, the camera its goal; the animation loop stops when nothing moves. All words come with the
// data, in meta.text.

import { fill, make, mounted } from "../dom.js";
import { Camera } from "./camera.js";
import { Choices } from "./choices.js";
import { HTML, tooltip } from "./dom.js";
import { Painter } from "./draw.js";
import { Input } from "./input.js";
import { clamp, shuffled } from "./maths.js";
import { NO_POINTS, read } from "./message.js";
import { Springs } from "./springs.js";
import { describe } from "./words.js";

const MEMORY = 13; // frames that the trails remember
const PARTS = "bar note images trails in out reset stage hint help tip legend announcer".split(" ");

export class View {
  constructor(parent) {
    this.root = make("div", "root themed");
    this.root.innerHTML = HTML;
    this.root.__view = this; // for tests
    Object.assign(this.root.dataset, { mounts: 1, frames: 0, fps: "", points: 0, hovered: "", pinned: "" });
    for (const name of PARTS) this[name] = this.root.querySelector(`.${name}`);
    this.canvas = this.root.querySelector("canvas");
    this.painter = new Painter(this.canvas);
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.choices = new Choices();
    this.linked = []; // views of the same images: hovered, pinned and hidden here means there, too
    this.marked = []; // points with a ring
    Object.assign(this, { meta: {}, text: {}, ...NO_POINTS, n: 0, dim: 2, width: 0, height: 0 });
    this.camera = new Camera(this);
    this.springs = new Springs(this);
    this.forget();
    this.input = new Input(this);
    this.observer = new ResizeObserver(() => this.resize());
    parent.append(this.root);
  }

  // ---- data ---------------------------------------------------------------------------------------------------

  forget(key) { // all that belongs to one set of images, except what was chosen for the next
    const hidden = new Set(this.choices.hidden[key]);
    Object.assign(this, { n: 0, hidden, pinned: -1, hovered: -1, history: [], screen: null, pointed: "" });
    this.camera.rest();
    this.camera.forget();
  }

  update(bytes) {
    this.connect();
    const { meta, arrays } = read(bytes, this.meta);
    if (bytes?.length && meta.frame === this.meta.frame && meta.key === this.meta.key) return; // a page sends what it has
    this.show(meta, arrays);
  }

  show(meta, arrays) {
    this.root.dataset.frames = Number(this.root.dataset.frames) + 1;
    if (meta.sent) this.root.dataset.delay = Math.round(Date.now() - meta.sent); // ms since the server packed it
    if (meta.key !== this.meta.key) this.forget(meta.key);
    else if (meta.dim !== this.meta.dim || meta.projection !== this.meta.projection) {
      this.history = [];
      this.camera.forget();
    }
    const n = arrays.labels.length;
    const same = n === this.n && meta.dim === this.dim && this.camera.place !== null;
    Object.assign(this, { meta, ...NO_POINTS, ...arrays, n, dim: meta.dim ?? 2 });
    if (this.order?.length !== n) this.order = shuffled(n);
    if (String(meta.pair ?? "") !== this.pointed) this.pinned = meta.pair?.[0] ?? -1;
    this.pointed = String(meta.pair ?? "");
    if (this.pinned >= n) this.pinned = -1;
    if (this.hovered >= n) this.hovered = -1;
    this.history = same ? [...this.history, this.xy].slice(-MEMORY) : [this.xy];
    describe(this);
    this.springs.depart(same && !this.calm.matches);
    this.camera.aim();
    this.tell();
    this.wake();
  }

  pressed(toggle) { return this[toggle].ariaPressed === "true"; }

  toggle(name) {
    const on = !this.pressed(name);
    this[name].ariaPressed = on;
    this.choices.toggle(name, on);
    this.wake();
  }

  flip(c) { // hide a class, or show it again
    if (!this.hidden.delete(c)) this.hidden.add(c);
    this.legend.children[c].ariaPressed = !this.hidden.has(c);
    this.choices.hide(this.meta.key, this.hidden);
    if (!this.shown(this.pinned)) this.pinned = -1;
    this.tell();
    this.wake();
    for (const other of this.linked) if (other.hidden.has(c) !== this.hidden.has(c)) other.flip(c);
  }

  shown(i) { return this.labels[i] < this.classes.length && !this.hidden.has(this.labels[i]); }

  isSecond(i) { return i >= (this.meta.second ?? Infinity); } // an image as the second input of a pair

  paired(i) { return this.meta.pair?.slice(0, 2).includes(i) ?? false; } // one of two that the page points at

  nearest(i) { // [neighbour in the embedding space, distance], nearest first; of a pair, the other one
    if (this.paired(i)) return [[this.meta.pair[i === this.meta.pair[0] ? 1 : 0], this.meta.pair[2]]];
    return Array.from(this.neighbours.subarray(5 * i, 5 * i + 5), (j, rank) => [j, this.distances[5 * i + rank]])
      .filter(([j]) => j >= 0 && j < this.n);
  }

  positions() { // CSS px as displayed, two numbers a point; for tests
    return this.screen ? Array.from(this.screen.x, (x, i) => [x, this.screen.y[i]]).flat() : [];
  }

  // ---- the loop -----------------------------------------------------------------------------------------------

  wake() { this.ticket ??= requestAnimationFrame((now) => this.tick(now)); }

  tick(now) {
    this.ticket = null;
    if (!this.root.isConnected) return this.disconnect();
    const dt = this.awake ? Math.max(0, now - this.last) / 1000 : 1 / 60;
    const moving = [this.springs.move(now, dt), this.camera.move(dt)];
    Object.assign(this, { last: now, awake: moving.some(Boolean) });
    this.draw();
    return this.awake && this.wake();
  }

  draw() {
    if (!this.width) return;
    this.screen = this.n && this.camera.place ? this.camera.project(this.springs.at) : null;
    const active = this.pinned >= 0 ? this.pinned : this.hovered;
    this.painter.paint(this, active);
    if (this.screen && active >= 0) this.place(active);
  }

  // ---- one point: tooltip, pin, keyboard ------------------------------------------------------------------------

  tell() {
    if (!this.shown(this.hovered)) this.hovered = -1;
    const active = this.pinned >= 0 ? this.pinned : this.hovered;
    this.root.dataset.hovered = this.hovered >= 0 ? this.hovered : "";
    this.root.dataset.pinned = this.pinned >= 0 ? this.pinned : "";
    this.canvas.classList.toggle("over", this.hovered >= 0);
    this.tip.classList.toggle("pinned", this.pinned >= 0);
    this.tip.hidden = active < 0;
    if (active < 0) return;
    tooltip(this, active);
    this.tipSize = [this.tip.offsetWidth, this.tip.offsetHeight];
  }

  place(i) { // the tooltip beside its point, inside the view, away from the neighbours where there is room
    const [x, y] = [this.screen.x[i], this.screen.y[i]];
    const [w, h] = this.tipSize;
    const gap = this.painter.radius + 16;
    const pull = this.nearest(i).reduce((sum, [j]) => sum + (this.screen.x[j] - x || 0), 0);
    const sides = pull > 0 ? [x - gap - w, x + gap] : [x + gap, x - gap - w];
    const beside = sides.find((left) => left >= 4 && left + w <= this.width - 4);
    const top = beside === undefined ? (y < this.height / 2 ? y + gap : y - gap - h) : y - h / 2;
    const inside = (v, size, room) => Math.round(clamp(v, 4, Math.max(4, room - size - 4)));
    this.tip.style.translate =
      `${inside(beside ?? x - w / 2, w, this.width)}px ${inside(top, h, this.height)}px`;
  }

  pick(x, y, reach) { // the nearest visible point within so many CSS px, or -1
    let [best, nearest] = [-1, reach ** 2];
    for (let i = 0; this.screen && i < this.n; i++) {
      const off = (this.screen.x[i] - x) ** 2 + (this.screen.y[i] - y) ** 2;
      if (off < nearest && this.shown(i)) [best, nearest] = [i, off];
    }
    return best;
  }

  set(which, i) { // which is "hovered" or "pinned"
    if (this[which] === i) return;
    this[which] = i;
    this.tell();
    this.wake();
    for (const other of this.linked) other.set(which, i);
  }

  walk(by) { // pin the next point, by number, that can be seen
    let i = this.pinned >= 0 ? this.pinned : by > 0 ? -1 : 0;
    for (let left = this.n; left > 0; left--) {
      i = (i + by + this.n) % this.n;
      if (!this.shown(i) || !Number.isFinite(this.xy[i * this.dim])) continue;
      const names = this.nearest(i).map(([j]) => this.classes[this.labels[j]]).join(", ");
      this.announcer.textContent = fill(this.text.announce, { index: i, name: this.classes[this.labels[i]], names });
      return this.set("pinned", i);
    }
  }

  // ---- the page -----------------------------------------------------------------------------------------------

  connect() {
    if (this.connected) return;
    this.connected = true;
    this.observer.observe(this.stage);
    this.input.connect();
  }

  disconnect() {
    this.connected = false;
    this.observer.disconnect();
    cancelAnimationFrame(this.ticket);
    this.ticket = null;
    this.input.disconnect();
  }

  resize() {
    if (!this.root.isConnected) return this.disconnect();
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || (width === this.width && height === this.height)) return;
    const ratio = width / (this.width || width);
    Object.assign(this, { width, height });
    this.camera.resize(ratio);
    this.tell();
    this.draw(); // at once, because a canvas that changes its size is blank
  }
}

export const render = mounted(View, (view) => view.disconnect());
