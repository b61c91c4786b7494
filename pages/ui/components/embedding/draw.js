// How the embedding view is drawn: a painter that owns the canvas and the stamps of its markers.

import { box, grid } from "./axes.js";
import { drawMark, reachOf } from "./marks.js";
import { clamp, farToNear } from "./maths.js";
import { asStamp, Pixels } from "./pixels.js";

const TRAIL = 12; // frames that a trail remembers
const MOST_TRAILS = 2500;
const MOST_THUMBNAILS = 2500;
const LEVELS = 8; // steps of size and strength that tell near from far in 3-D
const FAINT = 0.35; // what is not pinned, while something is

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
    if (view.dim === 3) box(this, view);
    else grid(this, view);
    pen.globalCompositeOperation = "source-over";
    if (active >= 0) this.links(view, active);
    this.rings(view);
  }

  dress(view) { // theme, resolution and marker size; stamps last while they stay the same
    const { camera } = view;
    const style = getComputedStyle(view.root);
    const dpr = devicePixelRatio || 1;
    const zoom = camera.place ? camera.place.k / camera.whole.k : 1;
    const roomy = clamp(0.29 * Math.sqrt((view.width * view.height) / Math.max(1, view.n)), 2, 5);
    const radius = Math.round(2 * clamp(roomy * zoom ** 0.3, 2, 8)) / 2;
    const colours = { text: style.color, ground: style.backgroundColor, line: style.borderTopColor };
    const key = [dpr, radius, view.dim, view.pinned >= 0, ...Object.values(colours)].join();
    if (key !== this.key) this.stamps.clear();
    Object.assign(this, { key, dpr, radius, ...colours, font: style.fontFamily });
  }

  cached(name, reach, alpha, draw) { // pixels of what is drawn more than once, `reach` CSS px around its middle
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

  drawMarker(pen, view, c, r, second) {
    const { ground, text } = this;
    const [path, colour, heldOut] = [view.paths[c], view.colours[c], view.heldOut.has(c)];
    drawMark(pen, { path, colour, heldOut, second, ground, text, r });
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

  trails(view) { // the past changes with a frame or the camera only; the last stretch, up to now, with every drawing
    const { camera } = view;
    const { x, y, z, k } = camera.place;
    const seen = [this.key, x, y, z, k, camera.yaw, camera.pitch, view.width, view.height, [...view.hidden]].join();
    const past = view.history.slice(-TRAIL - 1, -1);
    if (this.past?.seen !== seen || this.past.history !== view.history) {
      const places = past.map((points) => camera.project(points));
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
    const colours = view.classes.map((_, c) => this.cached(`colour ${c}`, 1, 1, (pen) => {
      pen.fillStyle = view.colours[c];
      pen.fillRect(-1, -1, 2, 2);
    }).data[0]);
    for (let i = 0; i < view.n; i += Math.ceil(view.n / MOST_TRAILS)) {
      const [x0, y0, x1, y1] = [from.x[i] * dpr, from.y[i] * dpr, to.x[i] * dpr, to.y[i] * dpr];
      if (!view.shown(i) || !(Math.abs(x0 - x1) + Math.abs(y0 - y1) > 0.5)) continue;
      this.pixels.line(x0, y0, x1, y1, colours[view.labels[i]], alpha);
    }
  }

  points(view) {
    const { dpr } = this;
    const { x, y, near } = view.screen;
    const strength = view.pinned >= 0 ? FAINT : 1;
    const [wide, tall] = this.imageSize(view.meta.sprite ?? { width: 1, height: 1 });
    const edge = Math.max(wide, tall) / 2 + 4;
    const firstSecond = view.meta.second ?? Infinity;
    for (const i of near ? farToNear(view.order, near) : view.order) {
      if (!view.shown(i) || !Number.isFinite(x[i] + y[i])) continue;
      const c = view.labels[i];
      const level = near ? Math.min(LEVELS - 1, ((near[i] + 1) * 0.5 * LEVELS) | 0) : LEVELS - 1;
      const alpha = strength * (near ? 0.3 + (0.7 * level) / (LEVELS - 1) : 1);
      const r = near ? this.radius * (0.72 + (0.48 * level) / (LEVELS - 1)) : this.radius;
      const reach = reachOf(r, view.heldOut.has(c));
      const second = i >= firstSecond ? 1 : 0; // a number: a name of text for every point costs ten frames a second
      const stamp = this.asImage(view, i)
        ? this.cached(`${i} ${level}`, edge, alpha, (pen) => this.drawImage(pen, view, i, wide, tall))
        : this.cached((2 * c + second) * LEVELS + level, reach, alpha, (pen) => this.drawMarker(pen, view, c, r, second));
      this.pixels.stamp(stamp, Math.round(x[i] * dpr) - stamp.half, Math.round(y[i] * dpr) - stamp.half);
    }
  }

  stroke(wide) { // seen on every ground
    for (const [strokeStyle, extra] of [[this.ground, 2.5], [this.text, 0]]) {
      Object.assign(this.pen, { strokeStyle, lineWidth: wide + extra, lineCap: "round" });
      this.pen.stroke();
    }
  }

  rings(view) { // around the points that are marked
    const { x, y } = view.screen;
    const beside = this.imageSize(view.meta.sprite ?? { width: 1, height: 1 });
    for (const i of view.marked.filter((j) => view.shown(j) && Number.isFinite(x[j] + y[j]))) {
      const reach = this.asImage(view, i) ? Math.hypot(...beside) / 2 + 3 : this.radius + 5;
      this.pen.beginPath();
      this.pen.arc(x[i], y[i], reach, 0, 7);
      this.stroke(1.8);
    }
  }

  links(view, i) { // the point, its neighbours and the lines between them, over everything else
    const { pen } = this;
    const { x, y } = view.screen;
    const others = view.nearest(i).map(([j]) => j).filter((j) => view.shown(j) && Number.isFinite(x[j] + y[j]));
    pen.beginPath();
    for (const j of others) {
      pen.moveTo(x[i], y[i]);
      pen.lineTo(x[j], y[j]);
    }
    this.stroke(1.2);
    for (const j of [...others.reverse(), i]) {
      const image = this.asImage(view, j);
      if (!image) {
        pen.beginPath();
        pen.arc(x[j], y[j], this.radius + (j === i ? 6 : 4), 0, 7);
        this.stroke(j === i ? 2 : 1.2);
        pen.fillStyle = this.ground;
        pen.fill();
      }
      pen.save();
      pen.translate(x[j], y[j]);
      if (image) this.drawImage(pen, view, j, ...this.imageSize(view.meta.sprite));
      else this.drawMarker(pen, view, view.labels[j], this.radius, view.isSecond(j));
      pen.restore();
    }
  }
}
