// Which points changed their neighbours most: of each, the five nearest that are not the same as in the frame before,
// counted over the frames so far.

const MOST = 12;

export class Restless {
  constructor(run) { this.run = run; }

  totals(frame) { // (N,) changes of each point from the first frame to this one
    this.counted ??= count(this.run);
    return this.counted.subarray(frame * this.run.n, (frame + 1) * this.run.n);
  }

  most(frame) { // the points that changed most, first; those that never changed are none of them
    const totals = this.totals(frame);
    const changed = Array.from(totals.keys()).filter((i) => totals[i]);
    return changed.sort((a, b) => totals[b] - totals[a] || a - b).slice(0, MOST);
  }
}

function count({ neighbours, n }) {
  const totals = new Uint16Array(neighbours.length * n);
  for (let f = 1; f < neighbours.length; f++) {
    for (let i = 0; i < n; i++) {
      totals[f * n + i] = totals[(f - 1) * n + i] + changes(neighbours[f - 1], neighbours[f], 5 * i, n);
    }
  }
  return totals;
}

function changes(before, after, start, n) {
  let gone = 0;
  for (let a = start; a < start + 5; a++) {
    let stays = before[a] >= n; // nobody
    for (let b = start; b < start + 5 && !stays; b++) stays = before[a] === after[b];
    if (!stays) gone += 1;
  }
  return gone;
}
