// What lies behind the points: a grid with its numbers in 2-D, the edges of a box in 3-D. Drawn with a painter's pen.

import { clamp, niceStep } from "./maths.js";

export function grid({ pen, dpr, line, text, font }, { camera: { place }, width, height }) {
  const step = niceStep(70 / place.k);
  const decimals = clamp(-Math.floor(Math.log10(step) + 1e-9), 0, 8);
  const crisp = (v) => (Math.round(v * dpr) + 0.5) / dpr;
  const values = (middle, size) => { // the multiples of the step between two edges
    const first = Math.ceil((middle - size / 2 / place.k) / step);
    const last = Math.floor((middle + size / 2 / place.k) / step);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
  };
  const labels = [];
  pen.beginPath();
  for (const v of values(place.x, width)) {
    const x = width / 2 + (v * step - place.x) * place.k;
    pen.moveTo(crisp(x), 0);
    pen.lineTo(crisp(x), height);
    if (x > 40 && x < width - 16) labels.push([v, x, height - 7, "center"]);
  }
  for (const v of values(place.y, height)) {
    const y = height / 2 - (v * step - place.y) * place.k;
    pen.moveTo(0, crisp(y));
    pen.lineTo(width, crisp(y));
    if (y > 16 && y < height - 24) labels.push([v, 7, y - 4, "left"]);
  }
  Object.assign(pen, { strokeStyle: line, lineWidth: 1 / dpr, globalAlpha: 0.6 });
  pen.stroke();
  Object.assign(pen, { fillStyle: text, globalAlpha: 0.6, font: `10.5px ${font}` });
  for (const [v, x, y, align] of labels) {
    pen.textAlign = align;
    pen.fillText((v < 0 ? "−" : "") + Math.abs(v * step).toFixed(decimals), x, y);
  }
  pen.globalAlpha = 1;
}

export function box({ pen, line }, { camera }) {
  const { low, high } = camera.bounds;
  const corners = Float32Array.from({ length: 24 }, (_, i) => ((i / 3) >> (i % 3)) & 1 ? high[i % 3] : low[i % 3]);
  const { x, y, near } = camera.project(corners);
  Object.assign(pen, { strokeStyle: line, lineWidth: 1 });
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
