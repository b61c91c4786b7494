// Where a film is: a step between the first and the last, that moves on by itself while it plays.

import { latest } from "./message.js";

export const SPEEDS = [0.5, 1, 2, 4];
const LONGEST = 0.1; // s that one drawing may take up; a page that slept does not miss what came meanwhile
const HOLD = 1; // s that the last frame stays before a loop begins again

export class Clock {
  constructor(steps, seconds, loop) { // `seconds`: of the whole film at speed 1
    Object.assign(this, { steps, seconds, loop, at: steps[0], playing: false, speed: 1, held: 0 });
  }

  get first() { return this.steps[0]; }

  get last() { return this.steps.at(-1); }

  get part() { return (this.at - this.first) / (this.last - this.first || 1); } // of the film, from 0 to 1

  get index() { return latest(this.steps, this.at); }

  get step() { return this.steps[this.index]; } // the recorded one at or before this moment

  play() {
    if (this.at >= this.last) this.at = this.first;
    Object.assign(this, { playing: this.last > this.first, held: 0 });
  }

  seek(index) { // at rest, a film stands at a recorded step
    this.playing = false;
    this.at = this.steps[Math.min(this.steps.length - 1, Math.max(0, index))];
  }

  nearest(at) { // the index of the recorded step that is nearest
    const before = latest(this.steps, at);
    const after = Math.min(before + 1, this.steps.length - 1);
    return this.steps[after] - at < at - this.steps[before] ? after : before;
  }

  move(seconds) {
    const passed = Math.min(LONGEST, seconds);
    this.at = Math.min(this.last, this.at + (passed * this.speed * (this.last - this.first)) / this.seconds);
    if (this.at < this.last) return;
    if (!this.loop) this.playing = false;
    else if ((this.held += passed) > HOLD) Object.assign(this, { at: this.first, held: 0 });
  }
}
