// Recorded runs: fetched once, read as messages by wire.js, held as frames that can be shown at once.
//
// meta: {key, steps, total, dim, scale, projection, classes, colours, markers, held_out, second, sprite, note, d_max,
// axis, same_colour, different_colour, history: [[name, label, colour, dotted, "loss" | "score"], …]}.
// Arrays of F frames, N points, B bins, C points of the curve: xy (F, N, dim) int16, times scale; labels (N,);
// neighbours (F, N, 5) uint16, 65535 where there is none; shares (F, 2, B) of same and of different pairs;
// curve (3, C): at, same, different; loss_steps and loss (L,); score_steps (M,) and scores, one row of M for each entry
// of the history but the first.

import { unpack } from "../wire.js";

export class Run {
  constructor(bytes) {
    const { meta, arrays } = unpack(bytes);
    const { steps, dim, scale } = meta;
    const n = arrays.labels.length;
    const size = n * dim;
    if (!steps.length || arrays.xy.length !== steps.length * size) throw new Error("damaged");
    const xy = new Float32Array(arrays.xy);
    for (let i = 0; i < xy.length; i++) xy[i] *= scale;
    Object.assign(this, { meta, arrays, steps, n, xy, last: steps.length - 1 });
    this.frames = steps.map((_, f) => xy.subarray(f * size, (f + 1) * size));
    this.neighbours = steps.map((_, f) => arrays.neighbours.subarray(5 * f * n, 5 * (f + 1) * n));
    this.bins = arrays.shares.length / steps.length / 2;
  }

  shares(frame, kind) { // kind: 0 of the same class, 1 of different ones
    return this.arrays.shares.subarray((2 * frame + kind) * this.bins, (2 * frame + kind + 1) * this.bins);
  }

  branches() { // of the curve: at, same, different; null for a loss that has none
    const count = this.arrays.curve.length / 3;
    return count ? [0, 1, 2].map((row) => this.arrays.curve.subarray(row * count, (row + 1) * count)) : null;
  }

  series() { // of the history: what each line is called, and where it goes
    const { loss_steps: lossSteps, loss, score_steps: scoreSteps, scores } = this.arrays;
    return this.meta.history.map(([name, label, colour, dotted, panel], row) => {
      const at = row ? scoreSteps : lossSteps;
      const values = row ? scores.subarray((row - 1) * at.length, row * at.length) : loss;
      return { name, label, colour, dotted, panel, at, values };
    });
  }

  between(at) { // [frame, the next one, how far between them] at a step that may lie between two
    const frame = latest(this.steps, at);
    const next = Math.min(frame + 1, this.last);
    const gap = this.steps[next] - this.steps[frame];
    return [frame, next, gap ? Math.max(0, at - this.steps[frame]) / gap : 0];
  }
}

export function latest(steps, at) { // the last of the ascending steps that is not after `at`, or the first
  let [low, high] = [0, steps.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (steps[middle] <= at) low = middle;
    else high = middle - 1;
  }
  return low;
}

// The runs of these addresses; onProgress(part) is called with how much has arrived. Rejects with an error whose
// message is its key among the words.
export async function load(urls, onProgress) {
  const parts = urls.map(() => 0);
  const fetched = new Map();
  const once = (url, i) => {
    const onPart = (part) => {
      parts[i] = part;
      onProgress(sum(parts) / fetched.size);
    };
    if (!fetched.has(url)) fetched.set(url, download(url, onPart));
    return fetched.get(url);
  };
  return (await Promise.all(urls.map(once))).map(read);
}

const sum = (values) => values.reduce((a, b) => a + b, 0);

function read(bytes) {
  try {
    return new Run(bytes);
  } catch (error) {
    throw new Error("damaged", { cause: error });
  }
}

async function download(url, onProgress) {
  let response;
  const chunks = [];
  try {
    response = await fetch(new URL(url, document.baseURI));
    const size = Number(response.headers.get("Content-Length"));
    for (let got = 0, reader = response.ok && response.body.getReader(); reader;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      got += value.length;
      if (size) onProgress(Math.min(1, got / size)); // what is unpacked on the way is more than its size
    }
  } catch (error) {
    throw new Error("unreachable", { cause: error });
  }
  if (!response.ok) throw new Error(response.status < 500 ? "missing" : "unreachable");
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
