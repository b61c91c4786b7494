// The markers of the classes, of about equal visual weight, as SVG paths around 0, 0: drawn on the canvas, and in the
// legend and the tooltip as SVG elements.

import { svg } from "../dom.js";

const ring = (...radii) => radii.map((r, i) => {
  const angle = (2 * Math.PI * i) / radii.length;
  return [r * Math.sin(angle), -r * Math.cos(angle)];
});
const outline = (corners, turn = 0) => "M" + corners.map(([x, y]) => {
  const [c, s] = [Math.cos(turn), Math.sin(turn)];
  return `${(x * c - y * s).toFixed(3)} ${(x * s + y * c).toFixed(3)}`;
}).join("L") + "Z";
const PLUS = [
  [-1, -3], [1, -3], [1, -1], [3, -1], [3, 1], [1, 1], [1, 3], [-1, 3], [-1, 1], [-3, 1], [-3, -1], [-1, -1],
].map(([x, y]) => [x * 0.41, y * 0.41]);
const STAR = ring(1.42, 0.62, 1.42, 0.62, 1.42, 0.62, 1.42, 0.62, 1.42, 0.62);
export const MARKERS = {
  circle: "M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z",
  square: outline([[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]),
  "triangle-up": outline(ring(1.3, 1.3, 1.3)),
  diamond: outline(ring(1.28, 1.05, 1.28, 1.05)),
  "triangle-down": outline(ring(1.3, 1.3, 1.3), Math.PI),
  cross: outline(PLUS),
  x: outline(PLUS, Math.PI / 4),
  star: outline(STAR),
  pentagon: outline(ring(1.14, 1.14, 1.14, 1.14, 1.14)),
  hexagon: outline(ring(1.12, 1.12, 1.12, 1.12, 1.12, 1.12)),
};

// A shade of a class's own colour towards the theme's text: darker on a light ground, lighter on a dark one. Pale
// colours need it on white, deep ones on black.
const rim = (colour, text) => `color-mix(in srgb, ${colour} 40%, ${text})`;

// How far, in CSS px, the ink of a marker of radius r goes from its middle.
export const reachOf = (r, heldOut) => heldOut ? Math.max(r * 1.45 + 1, r * 1.25 + 3) : r * 1.45 + 1;

// A second input is hollow: its colour is on the edge.
export function drawMark(pen, { path, colour, heldOut, second, ground, text, r }) {
  const edge = rim(colour, text);
  if (heldOut) {
    for (const [strokeStyle, lineWidth, globalAlpha] of [[ground, 2.2, 0.45], [edge, 1, 0.9]]) {
      pen.beginPath();
      pen.arc(0, 0, r * 1.25 + 1.8, 0, 7);
      Object.assign(pen, { strokeStyle, lineWidth, globalAlpha });
      pen.stroke();
    }
  }
  pen.scale(r, r);
  Object.assign(pen, { strokeStyle: ground, lineWidth: 2.4 / r, lineJoin: "round", globalAlpha: 0.85 });
  pen.stroke(path);
  Object.assign(pen, { fillStyle: second ? ground : colour, strokeStyle: edge, lineWidth: 1 / r, globalAlpha: 1 });
  pen.fill(path);
  if (second) Object.assign(pen, { strokeStyle: colour, lineWidth: 1.8 / r });
  pen.stroke(path);
}

export function mark(outlinePath, colour, heldOut) {
  const edge = { stroke: rim(colour, "currentColor"), "stroke-width": 0.24 };
  const path = svg("path", { d: outlinePath, fill: colour, "stroke-linejoin": "round", ...edge });
  const halo = heldOut ? [svg("circle", { r: 2, fill: "none", ...edge })] : [];
  return svg("svg", { class: "mark", viewBox: "-2.3 -2.3 4.6 4.6", "aria-hidden": true }, path, ...halo);
}
