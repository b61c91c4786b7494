// How the embedding view is drawn: a projection, and a painter that owns the canvas and the stamps of its markers.

import { asStamp, Pixels } from "./embedding_pixels.js";

const TRAIL = 12; // frames that a trail remembers
const MOST_TRAILS = 2500;
const MOST_THUMBNAILS = 2500;
const LEVELS = 8; // steps of size and strength that tell near from far in 3-D
const FAINT = 0.35; // what is not pinned, while something is

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((m) => m * power >= rough * 0.999);
}

// A fixed order of drawing in which no class lies on top of the others.
export function shuffled(n) {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1, seed = 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = seed % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

// (n · dim) numbers -> CSS px and, in 3-D, nearness from -1 (far) to 1 (near).
export function project({ camera, dim, width, height, yaw, pitch, depth }, points) {
  const n = points.length / dim;
  const [x, y, near] = [new Float32Array(n), new Float32Array(n), dim === 3 ? new Float32Array(n) : null];
  if (!near) {
    for (let i = 0; i < n; i++) {
      x[i] = width / 2 + (points[2 * i] - camera.x) * camera.k;
      y[i] = height / 2 - (points[2 * i + 1] - camera.y) * camera.k;
    }
    return { x, y, near };
  }
  const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  for (let i = 0; i < n; i++) {
    const u = points[3 * i] - camera.x;
    const v = points[3 * i + 1] - camera.y;
    const w = points[3 * i + 2] - camera.z;
    const ahead = cy * w - sy * u;
    const towards = (cp * ahead + sp * v) / depth;
    const scale = (camera.k * 4) / Math.max(0.5, 4 - towards);
    x[i] = width / 2 + (cy * u + sy * w) * scale;
    y[i] = height / 2 - (cp * v - sp * ahead) * scale;
    near[i] = clamp(towards, -1, 1);
  }
  return { x, y, near };
}

export class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.stamps = new Map();
    this.atlas = null;
    this.radius = 4;
  }

  paint(view, active) {
    const { pen, canvas } = this;
    this.dress(view);
    const [w, h] = [Math.round(view.width * this.dpr), Math.round(view.height * this.dpr)];
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    if (!view.screen) return void pen.reset();
    if (this.pixels?.width !== w || this.pixels.height !== h) this.pixels = new Pixels(w, h);
    if (view.pressed("trails")) this.trails(view);
    else this.pixels.clear();
    this.points(view);
    pen.putImageData(this.pixels.image, 0, 0);
    pen.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
    pen.globalCompositeOperation = "destination-over"; // behind the points that are there already
    if (view.dim === 3) this.box(view);
    else this.grid(view);
    pen.globalCompositeOperation = "source-over";
    if (active >= 0) this.links(view, active);
  }

  dress(view) { // theme, resolution and marker size; stamps last while they stay the same
    const style = getComputedStyle(view.root);
    const dpr = devicePixelRatio || 1;
    const zoom = view.camera ? view.camera.k / view.whole.k : 1;
    const roomy = clamp(0.29 * Math.sqrt((view.width * view.height) / Math.max(1, view.n)), 2, 5);
    const radius = Math.round(2 * clamp(roomy * zoom ** 0.3, 2, 8)) / 2;
    const colours = { text: style.color, ground: style.backgroundColor, line: style.borderTopColor };
    const key = [dpr, radius, view.dim, view.pinned >= 0, ...Object.values(colours)].join();
    if (key !== this.key) this.stamps.clear();
    Object.assign(this, { key, dpr, radius, ...colours, font: style.fontFamily });
  }

  keep(name, reach, alpha, draw) { // pixels of what is drawn more than once, `reach` CSS px around its middle
    let made = this.stamps.get(name);
    if (made) return made;
    const half = Math.ceil(reach * this.dpr);
    const sheet = new OffscreenCanvas(2 * half, 2 * half);
    const pen = sheet.getContext("2d", { willReadFrequently: true });
    pen.setTransform(this.dpr, 0, 0, this.dpr, half, half);
    draw(pen);
    const { data } = pen.getImageData(0, 0, 2 * half, 2 * half);
    for (let i = 3; i < data.length; i += 4) data[i] *= alpha;
    made = asStamp(new Uint32Array(data.buffer), 2 * half);
    this.stamps.set(name, made);
    return made;
  }

  drawMarker(pen, view, c, r) {
    if (view.heldOut.has(c)) {
      for (const [strokeStyle, lineWidth, globalAlpha] of [[this.ground, 2.2, 0.45], [view.colours[c], 1, 0.9]]) {
        pen.beginPath();
        pen.arc(0, 0, r * 1.25 + 1.8, 0, 7);
        Object.assign(pen, { strokeStyle, lineWidth, globalAlpha });
        pen.stroke();
      }
    }
    pen.scale(r, r);
    Object.assign(pen, { strokeStyle: this.ground, lineWidth: 1.7 / r, lineJoin: "round", globalAlpha: 0.85 });
    pen.stroke(view.paths[c]);
    Object.assign(pen, { fillStyle: view.colours[c], globalAlpha: 1 });
    pen.fill(view.paths[c]);
  }

  drawImage(pen, view, i, wide, tall) {
    const { columns, width, height } = view.meta.sprite;
    const c = view.labels[i];
    const frames = [[2, view.colours[c]]];
    if (view.heldOut.has(c)) frames.unshift([4, view.colours[c]], [3, this.ground]);
    for (const [grow, colour] of frames) {
      pen.fillStyle = colour;
      pen.fillRect(-wide / 2 - grow, -tall / 2 - grow, wide + 2 * grow, tall + 2 * grow);
    }
    const [left, top] = [(i % columns) * width, Math.floor(i / columns) * height];
    pen.drawImage(this.atlas, left, top, width, height, -wide / 2, -tall / 2, wide, tall);
  }

  imageSize({ width, height }) {
    const wide = Math.round(clamp(this.radius * 5, 16, 32));
    return [wide, Math.round((wide * height) / width)];
  }

  asImage(view, i) { return view.pressed("images") && this.atlas && i < MOST_THUMBNAILS; }

  grid({ camera, width, height }) {
    const { pen } = this;
    const step = niceStep(70 / camera.k);
    const places = clamp(-Math.floor(Math.log10(step) + 1e-9), 0, 8);
    const crisp = (v) => (Math.round(v * this.dpr) + 0.5) / this.dpr;
    const values = (middle, size) => { // the multiples of the step between two edges
      const first = Math.ceil((middle - size / 2 / camera.k) / step);
      const last = Math.floor((middle + size / 2 / camera.k) / step);
      return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
    };
    const labels = [];
    pen.beginPath();
    for (const v of values(camera.x, width)) {
      const x = width / 2 + (v * step - camera.x) * camera.k;
      pen.moveTo(crisp(x), 0);
      pen.lineTo(crisp(x), height);
      if (x > 40 && x < width - 16) labels.push([v, x, height - 7, "center"]);
    }
    for (const v of values(camera.y, height)) {
      const y = height / 2 - (v * step - camera.y) * camera.k;
      pen.moveTo(0, crisp(y));
      pen.lineTo(width, crisp(y));
      if (y > 16 && y < height - 24) labels.push([v, 7, y - 4, "left"]);
    }
    Object.assign(pen, { strokeStyle: this.line, lineWidth: 1 / this.dpr, globalAlpha: 0.6 });
    pen.stroke();
    Object.assign(pen, { fillStyle: this.text, globalAlpha: 0.6, font: `10.5px ${this.font}` });
    for (const [v, x, y, align] of labels) {
      pen.textAlign = align;
      pen.fillText((v < 0 ? "−" : "") + Math.abs(v * step).toFixed(places), x, y);
    }
    pen.globalAlpha = 1;
  }

  box(view) {
    const { pen } = this;
    const { low, high } = view.bounds;
    const corners = Float32Array.from({ length: 24 }, (_, i) => ((i / 3) >> (i % 3)) & 1 ? high[i % 3] : low[i % 3]);
    const { x, y, near } = project(view, corners);
    Object.assign(pen, { strokeStyle: this.line, lineWidth: 1 });
    for (let a = 0; a < 8; a++) {
      for (const b of [1, 2, 4].filter((bit) => !(a & bit)).map((bit) => a | bit)) {
        pen.globalAlpha = clamp(0.75 + 0.35 * (near[a] + near[b]), 0.35, 1);
        pen.beginPath();
        pen.moveTo(x[a], y[a]);
        pen.lineTo(x[b], y[b]);
        pen.stroke();
      }
    }
    pen.globalAlpha = 1;
  }

  trails(view) { // the past changes with a frame or the camera only; the last stretch, up to now, with every drawing
    const { x, y, z, k } = view.camera;
    const seen = [this.key, x, y, z, k, view.yaw, view.pitch, view.width, view.height, [...view.hidden]].join();
    const past = view.history.slice(-TRAIL - 1, -1);
    if (this.past?.seen !== seen || this.past.history !== view.history) {
      const places = past.map((points) => project(view, points));
      this.pixels.clear();
      for (let age = 1; age < places.length; age++) {
        this.stretch(view, places[age - 1], places[age], (age + TRAIL - past.length) / TRAIL);
      }
      this.past = { seen, history: view.history, data: this.pixels.data.slice(), last: places.at(-1) };
    }
    this.pixels.data.set(this.past.data);
    if (this.past.last) this.stretch(view, this.past.last, view.screen, 1);
  }

  stretch(view, from, to, youth) {
    const { dpr } = this;
    const alpha = 150 * youth ** 1.5;
    const colours = view.classes.map((_, c) => this.keep(`colour ${c}`, 1, 1, (pen) => {
      pen.fillStyle = view.colours[c];
      pen.fillRect(-1, -1, 2, 2);
    }).data[0]);
    for (let i = 0; i < view.n; i += Math.ceil(view.n / MOST_TRAILS)) {
      const [x0, y0, x1, y1] = [from.x[i] * dpr, from.y[i] * dpr, to.x[i] * dpr, to.y[i] * dpr];
      if (!view.shown(i) || !(Math.abs(x0 - x1) + Math.abs(y0 - y1) > 0.5)) continue;
      this.pixels.line(x0, y0, x1, y1, colours[view.labels[i]], alpha);
    }
  }

  farToNear({ order, n, screen: { near } }) { // by counting: 64 shelves are finer than the eye
    const shelf = (i) => ((near[i] + 1) * 31.5) | 0; // NaN | 0 is 0
    const start = new Uint32Array(65);
    for (const i of order) start[shelf(i) + 1]++;
    for (let s = 1; s < 65; s++) start[s] += start[s - 1];
    const sorted = new Uint32Array(n);
    for (const i of order) sorted[start[shelf(i)]++] = i;
    return sorted;
  }

  points(view) {
    const { dpr } = this;
    const { x, y, near } = view.screen;
    const strength = view.pinned >= 0 ? FAINT : 1;
    const [wide, tall] = this.imageSize(view.meta.sprite ?? { width: 1, height: 1 });
    const edge = Math.max(wide, tall) / 2 + 4;
    for (const i of near ? this.farToNear(view) : view.order) {
      if (!view.shown(i) || !Number.isFinite(x[i] + y[i])) continue;
      const c = view.labels[i];
      const level = near ? Math.min(LEVELS - 1, ((near[i] + 1) * 0.5 * LEVELS) | 0) : LEVELS - 1;
      const alpha = strength * (near ? 0.3 + (0.7 * level) / (LEVELS - 1) : 1);
      const r = near ? this.radius * (0.72 + (0.48 * level) / (LEVELS - 1)) : this.radius;
      const reach = view.heldOut.has(c) ? Math.max(r * 1.45 + 1, r * 1.25 + 3) : r * 1.45 + 1;
      const stamp = this.asImage(view, i)
        ? this.keep(`${i} ${level}`, edge, alpha, (pen) => this.drawImage(pen, view, i, wide, tall))
        : this.keep(c * LEVELS + level, reach, alpha, (pen) => this.drawMarker(pen, view, c, r));
      this.pixels.stamp(stamp, Math.round(x[i] * dpr) - stamp.half, Math.round(y[i] * dpr) - stamp.half);
    }
  }

  links(view, i) { // the point, its neighbours and the lines between them, over everything else
    const { pen } = this;
    const { x, y } = view.screen;
    const others = view.nearest(i).map(([j]) => j).filter((j) => view.shown(j) && Number.isFinite(x[j] + y[j]));
    const stroke = (wide) => {
      for (const [colour, extra] of [[this.ground, 2.5], [this.text, 0]]) {
        Object.assign(pen, { strokeStyle: colour, lineWidth: wide + extra, lineCap: "round" });
        pen.stroke();
      }
    };
    pen.beginPath();
    for (const j of others) {
      pen.moveTo(x[i], y[i]);
      pen.lineTo(x[j], y[j]);
    }
    stroke(1.2);
    for (const j of [...others.reverse(), i]) {
      const image = this.asImage(view, j);
      if (!image) {
        pen.beginPath();
        pen.arc(x[j], y[j], this.radius + (j === i ? 6 : 4), 0, 7);
        stroke(j === i ? 2 : 1.2);
        pen.fillStyle = this.ground;
        pen.fill();
      }
      pen.save();
      pen.translate(x[j], y[j]);
      if (image) this.drawImage(pen, view, j, ...this.imageSize(view.meta.sprite));
      else this.drawMarker(pen, view, view.labels[j], this.radius);
      pen.restore();
    }
  }
}
