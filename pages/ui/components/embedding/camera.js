// Where the embedding view looks from: axes that hold every point, a camera that glides to its goal, and the projection
// to the screen. The goal is to show the axes whole, until the user zooms or drags.

import { clamp, niceStep } from "./maths.js";

const GLIDE = 14; // 1/s
const MARGIN = 26; // CSS px between the axes' limits and the edge
const REST = { yaw: -0.6, pitch: 0.35 };

export class Camera { // a place is a centre in the points' numbers, x, y, z, and k, CSS px per unit
  constructor(view) {
    Object.assign(this, { view, least: null }); // least: bounds that the axes always hold
    this.rest();
    this.forget();
  }

  rest() { Object.assign(this, { user: false, bounds: this.least, ...REST }); }

  forget() { // other axes, other numbers
    Object.assign(this, { user: false, bounds: this.least, place: null, goal: null });
  }

  grow() { // axes hold every point seen so far, rounded outwards to steps
    const { dim, xy } = this.view;
    const [low, high] = [Array(dim).fill(Infinity), Array(dim).fill(-Infinity)];
    for (let i = 0; i < xy.length; i++) {
      const axis = i % dim;
      if (!Number.isFinite(xy[i])) continue;
      low[axis] = Math.min(low[axis], xy[i]);
      high[axis] = Math.max(high[axis], xy[i]);
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

  fit() { // the place that shows the axes whole
    const { dim, width, height } = this.view;
    const { low, high } = this.bounds;
    const size = high.map((v, a) => v - low[a]);
    const widest = Math.max(...size) || 1;
    const [wide, tall] = [width, height].map((v) => Math.max(40, v - 2 * MARGIN));
    this.depth = Math.hypot(...size) / 2 || 1;
    const k = dim === 3 ? Math.min(wide, tall) / 2 / this.depth / 0.92
      : Math.min(wide / (size[0] || widest), tall / (size[1] || widest));
    return { x: (low[0] + high[0]) / 2, y: (low[1] + high[1]) / 2, z: ((low[2] + high[2]) / 2) || 0, k };
  }

  aim() { // automatic axes, unless the user has zoomed
    const { n, width, calm } = this.view;
    if (!n || !width) return;
    this.grow();
    if (!this.bounds) return;
    this.whole = this.fit();
    if (!this.user) this.goal = this.whole;
    if (!this.place || calm.matches) this.place = { ...this.goal };
  }

  resize(ratio) {
    if (this.user) this.goal = { ...this.goal, k: this.goal.k * ratio };
    this.aim();
    if (this.goal) this.place = { ...this.goal };
  }

  move(dt) { // whether there is still some way to the goal
    const { place, goal } = this;
    if (!place) return false;
    const off = Math.hypot(goal.x - place.x, goal.y - place.y, goal.z - place.z) * goal.k;
    if (off < 0.2 && Math.abs(Math.log(goal.k / place.k)) < 0.0005) {
      Object.assign(place, goal);
      return false;
    }
    const part = 1 - Math.exp(-GLIDE * dt);
    for (const axis of ["x", "y", "z"]) place[axis] += (goal[axis] - place[axis]) * part;
    place.k *= (goal.k / place.k) ** part;
    return true;
  }

  // ---- what the user does -------------------------------------------------------------------------------------

  zoom(factor, px = this.view.width / 2, py = this.view.height / 2, glide = true) {
    if (!this.place) return;
    const { dim, width, height } = this.view;
    const { x, y, z } = this.goal;
    const k = clamp(this.goal.k * factor, this.whole.k / 5, this.whole.k * 400);
    const slip = dim === 3 ? 0 : 1 / this.goal.k - 1 / k; // the place under the pointer stays there
    this.take({ x: x + (px - width / 2) * slip, y: y - (py - height / 2) * slip, z, k }, glide);
  }

  take(goal, glide) { // from here on the view is the user's
    Object.assign(this, { goal, user: true });
    this.view.canvas.style.touchAction = "none";
    if (!glide || this.view.calm.matches) this.place = { ...goal };
    this.view.wake();
  }

  drag(dx, dy) {
    if (!this.place) return;
    const { x, y, k } = this.goal;
    if (this.view.dim === 2) return this.take({ ...this.goal, x: x - dx / k, y: y + dy / k }, false);
    this.yaw += dx * 0.008;
    this.pitch = clamp(this.pitch + dy * 0.008, -1.57, 1.57);
    this.view.wake();
  }

  restart() {
    this.rest();
    this.view.canvas.style.touchAction = "";
    this.aim();
    this.view.wake();
  }

  // ---- the projection -----------------------------------------------------------------------------------------

  project(points) { // (n · dim) numbers -> CSS px and, in 3-D, nearness from -1 (far) to 1 (near)
    const { dim, width, height } = this.view;
    const { place, depth } = this;
    const n = points.length / dim;
    const [x, y, near] = [new Float32Array(n), new Float32Array(n), dim === 3 ? new Float32Array(n) : null];
    if (!near) {
      for (let i = 0; i < n; i++) {
        x[i] = width / 2 + (points[2 * i] - place.x) * place.k;
        y[i] = height / 2 - (points[2 * i + 1] - place.y) * place.k;
      }
      return { x, y, near };
    }
    const [cy, sy] = [Math.cos(this.yaw), Math.sin(this.yaw)];
    const [cp, sp] = [Math.cos(this.pitch), Math.sin(this.pitch)];
    for (let i = 0; i < n; i++) {
      const u = points[3 * i] - place.x;
      const v = points[3 * i + 1] - place.y;
      const w = points[3 * i + 2] - place.z;
      const ahead = cy * w - sy * u;
      const towards = (cp * ahead + sp * v) / depth;
      const scale = (place.k * 4) / Math.max(0.5, 4 - towards);
      x[i] = width / 2 + (cy * u + sy * w) * scale;
      y[i] = height / 2 - (cp * v - sp * ahead) * scale;
      near[i] = clamp(towards, -1, 1);
    }
    return { x, y, near };
  }
}
