// The embedding view: a scatter plot of image embeddings on one canvas, in 2-D or 3-D, that follows a training run.
//
// The DOM is built once per parent element; later calls of render() only hand over new numbers. Points follow their
// newest place on a critically damped spring, so a frame that arrives in mid-flight bends the motion instead of
// restarting it. Markers are stamps, made once per class. The animation loop stops when nothing moves. All words come with the data, in meta.text.

import { fill, HTML, make, mark, MARKERS, tooltip } from "./embedding_dom.js";
import { Input } from "./embedding_input.js";
import { clamp, niceStep, Painter, project, shuffled } from "./embedding_draw.js";

const STIFFNESS = 20; // 1/s: 95 % of the way after 240 ms
const SETTLED = 500; // ms after which what is left of a move is far below a pixel
const CAMERA = 14; // 1/s
const MARGIN = 26; // CSS px between the axes' limits and the edge
const MEMORY = 13; // frames kept for the trails
const PARTS = "bar note images trails in out reset stage hint help tip legend said".split(" ");
const REST = { yaw: -0.6, pitch: 0.35 };
const TYPES = {
  float32: Float32Array, float64: Float64Array, int32: Int32Array, uint8: Uint8Array, int64: BigInt64Array,
};
const NOTHING = {
  xy: new Float32Array(0), labels: new Int32Array(0), neighbours: new Int32Array(0), distances: new Float32Array(0),
};

function unpack(bytes) {
  const start = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const { meta, arrays } = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
  const named = {};
  for (const [name, dtype, shape, offset] of arrays) {
    const Type = TYPES[dtype];
    const end = start + offset + shape.reduce((a, b) => a * b, 1) * Type.BYTES_PER_ELEMENT;
    named[name] = new Type(bytes.slice(start + offset, end).buffer); // a copy, because a typed array must be aligned
  }
  return { meta, arrays: named };
}

class View {
  constructor(parent) {
    this.root = make("div", "root");
    this.root.innerHTML = HTML;
    this.root.__view = this; // for tests
    Object.assign(this.root.dataset, { mounts: 1, frames: 0, fps: "", points: 0, hovered: "", pinned: "" });
    for (const name of PARTS) this[name] = this.root.querySelector(`.${name}`);
    this.canvas = this.root.querySelector("canvas");
    this.painter = new Painter(this.canvas);
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.chosen = {}; // toggles that the user has touched
    Object.assign(this, { meta: {}, text: {}, ...NOTHING, n: 0, dim: 2, width: 0, height: 0 });
    this.forget();
    this.input = new Input(this);
    this.observer = new ResizeObserver(() => this.resize());
    parent.append(this.root);
  }

  // ---- data ---------------------------------------------------------------------------------------------------

  forget() { // all that belongs to one set of probe images
    Object.assign(this, { n: 0, hidden: new Set(), pinned: -1, hovered: -1, history: [], bounds: null, ...REST });
    Object.assign(this, { user: false, camera: null, goal: null, screen: null });
  }

  update(bytes) {
    this.connect();
    const { meta, arrays } = bytes?.length ? unpack(bytes) : { meta: { ...this.meta, note: "" }, arrays: NOTHING };
    if (bytes?.length && meta.frame === this.meta.frame && meta.key === this.meta.key) return; // a page sends what it has
    this.root.dataset.frames = Number(this.root.dataset.frames) + 1;
    if (meta.sent) this.root.dataset.delay = Math.round(Date.now() - meta.sent); // ms since the server packed it
    if (meta.key !== this.meta.key) this.forget();
    else if (meta.dim !== this.meta.dim || meta.projection !== this.meta.projection) {
      Object.assign(this, { bounds: null, history: [], user: false, camera: null }); // other axes, other numbers
    }
    const n = arrays.labels.length;
    const same = n === this.n && meta.dim === this.dim && this.camera !== null;
    Object.assign(this, { meta, ...arrays, n, dim: meta.dim ?? 2 });
    if (this.order?.length !== n) this.order = shuffled(n);
    if (this.pinned >= n) this.pinned = -1;
    if (this.hovered >= n) this.hovered = -1;
    this.history = same ? [...this.history, this.xy].slice(-MEMORY) : [this.xy];
    this.describe();
    this.depart(same && !this.calm.matches);
    this.aim();
    this.tell();
    this.wake();
  }

  describe() { // words, legend and images, touched only where they changed
    const { text = {}, classes = [], colours = [], markers = [], held_out: heldOut = [], sprite, ...meta } = this.meta;
    if (JSON.stringify(text) !== JSON.stringify(this.text)) this.name(text);
    this.note.textContent = meta.note ?? "";
    this.hint.hidden = this.n > 0;
    const summary = fill(text.summary, { ...meta, points: this.n });
    this.canvas.ariaLabel = this.n ? summary : text.empty ?? "";
    this.root.dataset.points = this.n;
    this.trails.ariaPressed = this.chosen.trails ?? Boolean(meta.trails);
    this.images.ariaPressed = this.chosen.images ?? false;
    this.images.disabled = !sprite;
    const look = JSON.stringify([classes, colours, markers, heldOut, text.held_out, meta.key]);
    if (look !== this.look) {
      Object.assign(this, { look, classes, colours, heldOut: new Set(heldOut) });
      this.outlines = classes.map((_, c) => MARKERS[markers[c]] ?? MARKERS.circle);
      this.paths = this.outlines.map((d) => new Path2D(d));
      this.painter.stamps.clear();
      this.legend.replaceChildren(...classes.map((_, c) => this.entry(c)));
    }
    if (sprite?.url === this.url) return;
    this.url = sprite?.url;
    this.painter.atlas = null;
    const image = new Image();
    image.onload = () => {
      if (image.getAttribute("src") !== this.url) return; // a newer one is on its way
      this.painter.atlas = image;
      this.painter.stamps.clear();
      this.tell();
      this.wake();
    };
    if (this.url) image.src = this.url;
  }

  name(text) {
    this.text = text;
    for (const key of ["images", "trails"]) {
      this[key].textContent = text[key] ?? "";
      this[key].title = text[`${key}_help`] ?? "";
    }
    for (const [key, words] of Object.entries({ in: text.zoom_in, out: text.zoom_out, reset: text.reset })) {
      this[key].title = this[key].ariaLabel = words ?? "";
    }
    this.bar.ariaLabel = text.tools ?? "";
    this.legend.ariaLabel = text.legend ?? "";
    this.hint.textContent = text.empty ?? "";
    this.help.textContent = text.help ?? "";
    this.canvas.setAttribute("aria-description", text.help ?? "");
  }

  entry(c) {
    const held = this.heldOut.has(c);
    const button = make("button", "", mark(this.outlines[c], this.colours[c], held), make("span", "", this.classes[c]));
    if (held) button.append(make("small", "held", this.text.held_out ?? ""));
    Object.assign(button, { type: "button", ariaPressed: !this.hidden.has(c) });
    button.onclick = () => {
      if (!this.hidden.delete(c)) this.hidden.add(c);
      button.ariaPressed = !this.hidden.has(c);
      if (!this.shown(this.pinned)) this.pinned = -1;
      this.tell();
      this.wake();
    };
    return button;
  }

  pressed(toggle) { return this[toggle].ariaPressed === "true"; }

  toggle(name) {
    this[name].ariaPressed = this.chosen[name] = !this.pressed(name);
    this.wake();
  }

  shown(i) { return this.labels[i] < this.classes.length && !this.hidden.has(this.labels[i]); }

  nearest(i) { // [neighbour in the embedding space, distance], nearest first
    return Array.from(this.neighbours.subarray(5 * i, 5 * i + 5), (j, rank) => [j, this.distances[5 * i + rank]])
      .filter(([j]) => j >= 0 && j < this.n);
  }

  positions() { // CSS px as displayed, two numbers a point; for tests
    return this.screen ? Array.from(this.screen.x, (x, i) => [x, this.screen.y[i]]).flat() : [];
  }

  // ---- motion -------------------------------------------------------------------------------------------------

  depart(gently) {
    this.rate();
    if (!gently) return Object.assign(this, { at: this.xy.slice(), speed: new Float32Array(this.xy.length), until: 0 });
    for (let i = 0; i < this.xy.length; i++) {
      if (Number.isFinite(this.at[i]) && Number.isFinite(this.xy[i])) continue;
      this.at[i] = this.xy[i]; // NaN comes and goes without a spring
      this.speed[i] = 0;
    }
    return Object.assign(this, { until: performance.now() + SETTLED, since: this.awake ? this.last : null });
  }

  rate() { // frames drawn per second over the move that ends here
    if (this.drawn > 3) this.root.dataset.fps = Math.round((1000 * this.drawn) / (this.last - this.since));
    this.drawn = 0;
  }

  spring(now, dt) {
    if (!this.until) return false;
    const { at, speed, xy } = this;
    if (now >= this.until) {
      at.set(xy);
      speed.fill(0);
      this.until = 0;
      this.rate();
      return false;
    }
    const decay = Math.exp(-STIFFNESS * dt); // the exact solution, stable for any dt
    for (let i = 0; i < xy.length; i++) {
      const off = at[i] - xy[i];
      const push = (speed[i] + STIFFNESS * off) * dt;
      at[i] = xy[i] + (off + push) * decay;
      speed[i] = (speed[i] - STIFFNESS * push) * decay;
    }
    if (this.since === null) this.since = now;
    else this.drawn += 1;
    return true;
  }

  follow(dt) { // the camera glides to its goal
    const { camera, goal } = this;
    if (!camera) return false;
    const off = Math.hypot(goal.x - camera.x, goal.y - camera.y, goal.z - camera.z) * goal.k;
    if (off < 0.2 && Math.abs(Math.log(goal.k / camera.k)) < 0.0005) {
      Object.assign(camera, goal);
      return false;
    }
    const part = 1 - Math.exp(-CAMERA * dt);
    for (const axis of ["x", "y", "z"]) camera[axis] += (goal[axis] - camera[axis]) * part;
    camera.k *= (goal.k / camera.k) ** part;
    return true;
  }

  grow() { // axes hold every point seen so far, rounded outwards to steps
    const [low, high] = [Array(this.dim).fill(Infinity), Array(this.dim).fill(-Infinity)];
    for (let i = 0; i < this.xy.length; i++) {
      const axis = i % this.dim;
      if (!Number.isFinite(this.xy[i])) continue;
      low[axis] = Math.min(low[axis], this.xy[i]);
      high[axis] = Math.max(high[axis], this.xy[i]);
    }
    const old = this.bounds ?? { low, high };
    if (!low.every(Number.isFinite)) return;
    if (this.bounds && low.every((v, a) => v >= old.low[a] && high[a] <= old.high[a])) return;
    const span = Math.max(...high.map((v, a) => v - low[a])) || Math.abs(high[0]) / 10 || 1;
    const step = niceStep(span / 8);
    this.bounds = {
      low: low.map((v, a) => Math.floor(Math.min(v, old.low[a]) / step) * step),
      high: high.map((v, a) => Math.ceil(Math.max(v, old.high[a]) / step) * step),
    };
  }

  fit() { // the camera that shows the axes whole: centre and CSS px per unit
    const { low, high } = this.bounds;
    const size = high.map((v, a) => v - low[a]);
    const widest = Math.max(...size) || 1;
    const [wide, tall] = [this.width, this.height].map((v) => Math.max(40, v - 2 * MARGIN));
    this.depth = Math.hypot(...size) / 2 || 1;
    const k = this.dim === 3 ? Math.min(wide, tall) / 2 / this.depth / 0.92
      : Math.min(wide / (size[0] || widest), tall / (size[1] || widest));
    return { x: (low[0] + high[0]) / 2, y: (low[1] + high[1]) / 2, z: ((low[2] + high[2]) / 2) || 0, k };
  }

  aim() { // automatic axes, unless the user has zoomed
    if (!this.n || !this.width) return;
    this.grow();
    if (!this.bounds) return;
    this.whole = this.fit();
    if (!this.user) this.goal = this.whole;
    if (!this.camera || this.calm.matches) this.camera = { ...this.goal };
  }

  wake() { this.ticket ??= requestAnimationFrame((now) => this.tick(now)); }

  tick(now) {
    this.ticket = null;
    if (!this.root.isConnected) return this.disconnect();
    const dt = this.awake ? Math.max(0, now - this.last) / 1000 : 1 / 60;
    const moving = [this.spring(now, dt), this.follow(dt)];
    Object.assign(this, { last: now, awake: moving.some(Boolean) });
    this.draw();
    return this.awake && this.wake();
  }

  draw() {
    if (!this.width) return;
    this.screen = this.n && this.camera ? project(this, this.at) : null;
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

  place(i) { // the tooltip beside its point, inside the picture, away from the neighbours where there is room
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
  }

  walk(by) { // pin the next point, by number, that can be seen
    let i = this.pinned >= 0 ? this.pinned : by > 0 ? -1 : 0;
    for (let left = this.n; left > 0; left--) {
      i = (i + by + this.n) % this.n;
      if (!this.shown(i) || !Number.isFinite(this.xy[i * this.dim])) continue;
      const names = this.nearest(i).map(([j]) => this.classes[this.labels[j]]).join(", ");
      this.said.textContent = fill(this.text.announce, { index: i, name: this.classes[this.labels[i]], names });
      return this.set("pinned", i);
    }
  }

  // ---- the view -------------------------------------------------------------------------------------------

  zoom(factor, px = this.width / 2, py = this.height / 2, glide = true) {
    if (!this.camera) return;
    const { x, y, z } = this.goal;
    const k = clamp(this.goal.k * factor, this.whole.k / 5, this.whole.k * 400);
    const slip = this.dim === 3 ? 0 : 1 / this.goal.k - 1 / k; // the place under the pointer stays there
    this.take({ x: x + (px - this.width / 2) * slip, y: y - (py - this.height / 2) * slip, z, k }, glide);
  }

  take(goal, glide) { // from here on the view is the user's
    Object.assign(this, { goal, user: true });
    this.canvas.style.touchAction = "none";
    if (!glide || this.calm.matches) this.camera = { ...goal };
    this.wake();
  }

  drag(dx, dy) {
    if (!this.camera) return;
    const { x, y, k } = this.goal;
    if (this.dim === 2) return this.take({ ...this.goal, x: x - dx / k, y: y + dy / k }, false);
    this.yaw += dx * 0.008;
    this.pitch = clamp(this.pitch + dy * 0.008, -1.57, 1.57);
    this.wake();
  }

  restart() {
    Object.assign(this, { user: false, bounds: null, ...REST });
    this.canvas.style.touchAction = "";
    this.aim();
    this.wake();
  }

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
    if (this.user) this.goal = { ...this.goal, k: this.goal.k * ratio };
    this.aim();
    if (this.goal) this.camera = { ...this.goal };
    this.tell();
    this.draw(); // at once, because a canvas that changes its size is blank
  }
}

const views = new WeakMap();

export function render({ parentElement, data }) {
  let view = views.get(parentElement);
  if (view?.root.parentNode !== parentElement) { // the first call, or somebody emptied the parent
    view?.disconnect();
    const mounts = Number(view?.root.dataset.mounts ?? 0) + 1;
    views.set(parentElement, view = new View(parentElement));
    view.root.dataset.mounts = mounts;
  }
  view.update(data);
}
