// Small sums that several parts of the embedding view need.

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

// The same order from far to near, by counting: 64 shelves are finer than the eye. Nearness goes from -1 to 1.
export function farToNear(order, near) {
  const bucket = (i) => ((near[i] + 1) * 31.5) | 0; // NaN | 0 is 0
  const start = new Uint32Array(65);
  for (const i of order) start[bucket(i) + 1]++;
  for (let s = 1; s < 65; s++) start[s] += start[s - 1];
  const sorted = new Uint32Array(order.length);
  for (const i of order) sorted[start[bucket(i)]++] = i;
  return sorted;
}
