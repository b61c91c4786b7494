// How the embedding view is drawn: a projection, and a painter that owns the canvas and the marker bitmaps.

const TRAIL = 12; // frames that a trail remembers
const MOST_TRAILS = 2500;
const MOST_THUMBNAILS = 4000;
const LEVELS = 4; // marker sizes that tell near from far in 3-D

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
    this.bitmaps = new Map();
    this.atlas = null;
    this.radius = 4;
  }

  paint(view, active) {
    const { pen, canvas } = this;
    this.dress(view);
    const [w, h] = [Math.round(view.width * this.dpr), Math.round(view.height * this.dpr)];
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    this.inCss();
    pen.globalAlpha = 1;
    pen.clearRect(0, 0, view.width, view.height);
    if (!view.screen) return;
    this.thumbnails = view.pressed("images") && this.atlas;
    if (view.dim === 3) this.box(view);
    else this.grid(view);
    if (view.pressed("trails")) this.trails(view);
    this.points(view);
    if (active >= 0) this.links(view, active);
  }

  inCss() { this.pen.setTransform(this.dpr, 0, 0, this.dpr, 0, 0); }

  inPixels() { this.pen.setTransform(1, 0, 0, 1, 0, 0); }

  dress(view) { // theme, resolution and marker size; bitmaps last while they stay the same
    const style = getComputedStyle(view.root);
    const dpr = devicePixelRatio || 1;
    const zoom = view.camera ? view.camera.k / view.whole.k : 1;
    const roomy = clamp(0.29 * Math.sqrt((view.width * view.height) / Math.max(1, view.n)), 2, 5);
    const radius = Math.round(2 * clamp(roomy * zoom ** 0.3, 2, 8)) / 2;
    const colours = { text: style.color, ground: style.backgroundColor, line: style.borderTopColor };
    const key = [dpr, radius, view.dim, ...Object.values(colours)].join();
    if (key !== this.key) this.bitmaps.clear();
    Object.assign(this, { key, dpr, radius, ...colours, font: style.fontFamily });
  }

  bitmap(name, size, paint) { // in device px around its middle
    let made = this.bitmaps.get(name);
    if (!made) {
      const half = Math.ceil((size / 2) * this.dpr);
      const sheet = new OffscreenCanvas(2 * half, 2 * half);
      const pen = sheet.getContext("2d");
      pen.setTransform(this.dpr, 0, 0, this.dpr, half, half);
      paint(pen);
      made = sheet.transferToImageBitmap();
      this.bitmaps.set(name, made);
    }
    return made;
  }

  marker(view, c, level) {
    const r = view.dim === 3 ? this.radius * (0.72 + 0.16 * level) : this.radius;
    return this.bitmap(c * LEVELS + level, 3 * r + 10, (pen) => {
      if (view.heldOut.has(c)) {
        for (const [stroke, wide, alpha] of [[this.ground, 2.2, 0.45], [view.colours[c], 1, 0.9]]) {
          pen.beginPath();
          pen.arc(0, 0, r * 1.25 + 1.8, 0, 7);
          Object.assign(pen, { strokeStyle: stroke, lineWidth: wide, globalAlpha: alpha });
          pen.stroke();
        }
      }
      pen.scale(r, r);
      Object.assign(pen, { strokeStyle: this.ground, lineWidth: 1.7 / r, lineJoin: "round", globalAlpha: 0.85 });
      pen.stroke(view.paths[c]);
      Object.assign(pen, { fillStyle: view.colours[c], globalAlpha: 1 });
      pen.fill(view.paths[c]);
    });
  }

  thumbnail(view, i) {
    const { columns, width, height } = view.meta.sprite;
    const c = view.labels[i];
    const wide = Math.round(clamp(this.radius * 5, 16, 36));
    const tall = Math.round((wide * height) / width);
    return this.bitmap(`image ${i}`, Math.max(wide, tall) + 8, (pen) => {
      const frames = [[2, view.colours[c]]];
      if (view.heldOut.has(c)) frames.unshift([4, view.colours[c]], [3, this.ground]);
      for (const [grow, colour] of frames) {
        pen.fillStyle = colour;
        pen.fillRect(-wide / 2 - grow, -tall / 2 - grow, wide + 2 * grow, tall + 2 * grow);
      }
      const [left, top] = [(i % columns) * width, Math.floor(i / columns) * height];
      pen.drawImage(this.atlas, left, top, width, height, -wide / 2, -tall / 2, wide, tall);
    });
  }

  stamp(bitmap, { x, y }, i) { // on whole device px, which keeps markers crisp
    const left = Math.round(x[i] * this.dpr) - bitmap.width / 2;
    this.pen.drawImage(bitmap, left, Math.round(y[i] * this.dpr) - bitmap.height / 2);
  }

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

  trails(view) {
    const { pen } = this;
    const past = [...view.history.slice(-TRAIL - 1, -1).map((points) => project(view, points)), view.screen];
    const stride = Math.ceil(view.n / MOST_TRAILS);
    pen.lineWidth = 1 / this.dpr; // a hairline is by far the fastest stroke
    for (let age = 1; age < past.length; age++) {
      const [from, to] = [past[age - 1], past[age]];
      const paths = view.classes.map(() => new Path2D());
      for (let i = 0; i < view.n; i += stride) {
        if (!(Math.abs(from.x[i] - to.x[i]) + Math.abs(from.y[i] - to.y[i]) > 0.5)) continue;
        paths[view.labels[i]]?.moveTo(from.x[i], from.y[i]);
        paths[view.labels[i]]?.lineTo(to.x[i], to.y[i]);
      }
      pen.globalAlpha = 0.7 * ((age + TRAIL + 1 - past.length) / TRAIL) ** 1.5;
      paths.forEach((path, c) => {
        pen.strokeStyle = view.colours[c];
        if (!view.hidden.has(c)) pen.stroke(path);
      });
    }
    pen.globalAlpha = 1;
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
    const { pen } = this;
    const { screen, labels, width, height } = view;
    const { x, y, near } = screen;
    const alpha = view.pinned >= 0 ? 0.35 : 1;
    this.inPixels();
    pen.globalAlpha = alpha;
    for (const i of near ? this.farToNear(view) : view.order) {
      if (!view.shown(i) || !(x[i] > -20 && x[i] < width + 20 && y[i] > -20 && y[i] < height + 20)) continue;
      if (near) pen.globalAlpha = alpha * (0.64 + 0.36 * near[i]);
      const level = near ? Math.min(LEVELS - 1, ((near[i] + 1) * 0.5 * LEVELS) | 0) : 0;
      const image = this.thumbnails && i < MOST_THUMBNAILS;
      this.stamp(image ? this.thumbnail(view, i) : this.marker(view, labels[i], level), screen, i);
    }
    pen.globalAlpha = 1;
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
    this.inCss();
    pen.beginPath();
    for (const j of others) {
      pen.moveTo(x[i], y[i]);
      pen.lineTo(x[j], y[j]);
    }
    stroke(1.2);
    for (const [some, reach, wide] of this.thumbnails ? [] : [[others, 4, 1.2], [[i], 6, 2]]) {
      pen.beginPath();
      for (const j of some) {
        pen.moveTo(x[j] + this.radius + reach, y[j]);
        pen.arc(x[j], y[j], this.radius + reach, 0, 7);
      }
      stroke(wide);
      pen.fillStyle = this.ground;
      pen.fill();
    }
    this.inPixels();
    for (const j of [...others, i]) {
      const image = this.thumbnails && j < MOST_THUMBNAILS;
      this.stamp(image ? this.thumbnail(view, j) : this.marker(view, view.labels[j], LEVELS - 2), view.screen, j);
    }
  }
}
