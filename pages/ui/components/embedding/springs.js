// How points move: each follows its newest place on a critically damped spring, so a frame that arrives in mid-flight
// bends the motion instead of restarting it.

const STIFFNESS = 20; // 1/s: 95 % of the way after 240 ms
const SETTLED = 500; // ms after which what is left of a move is far below a pixel

export class Springs {
  constructor(view) { Object.assign(this, { view, until: 0 }); }

  depart(gently) { // for the places in view.xy
    const { xy, awake, last } = this.view;
    this.rate();
    if (!gently) return Object.assign(this, { at: xy.slice(), speed: new Float32Array(xy.length), until: 0 });
    for (let i = 0; i < xy.length; i++) {
      if (Number.isFinite(this.at[i]) && Number.isFinite(xy[i])) continue;
      this.at[i] = xy[i]; // NaN comes and goes without a spring
      this.speed[i] = 0;
    }
    return Object.assign(this, { until: performance.now() + SETTLED, since: awake ? last : null });
  }

  rate() { // frames drawn per second over the move that ends here
    const { root, last } = this.view;
    if (this.drawn > 3) root.dataset.fps = Math.round((1000 * this.drawn) / (last - this.since));
    this.drawn = 0;
  }

  move(now, dt) { // whether there is still something to move
    if (!this.until) return false;
    const { at, speed, view: { xy } } = this;
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
}
