// The fixed parts of the embedding view: its markup, its style and the tooltip.

import { button, fill, icon, make, THEME } from "../dom.js";
import { mark } from "./marks.js";

export const STYLE = `${THEME}
.root { container-type: inline-size; border-color: var(--line); transition: color 1ms, background-color 1ms; }
.bar, .legend { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; }
.bar { justify-content: flex-end; margin-bottom: 8px; }
.note { flex: 1 1 80px; color: var(--soft); font-size: 12px; }
.group { display: flex; gap: 6px; }
button { font: inherit; color: inherit; background: none; border: 1px solid var(--line); border-radius: 6px;
  min-height: 30px; min-width: 32px; padding: 2px 10px; margin: 0; cursor: pointer; display: inline-flex;
  align-items: center; justify-content: center; gap: 4px; }
button:hover:not(:disabled) { border-color: var(--soft); }
button:disabled { opacity: .45; cursor: default; }
button:focus-visible, canvas:focus-visible { outline: 2px solid var(--primary); outline-offset: 1px; }
.bar .icon { padding: 0; }
.icon svg { width: 16px; fill: none; stroke: currentColor; stroke-width: 1.5; stroke-linecap: round; }
.stage { position: relative; width: 100%; aspect-ratio: 4 / 3; max-height: 560px; }
canvas { display: block; width: 100%; height: 100%; border: 1px solid var(--line); border-radius: 8px;
  touch-action: pan-y; cursor: grab; user-select: none; -webkit-user-select: none; }
canvas:active { cursor: grabbing; }
canvas.over { cursor: pointer; }
.hint { position: absolute; inset: 0; display: grid; place-items: center; text-align: center; padding: 2em;
  color: var(--soft); pointer-events: none; font-size: 14px; }
.help { position: absolute; left: 50%; bottom: 10px; translate: -50%; width: max-content; max-width: calc(100% - 20px);
  padding: 4px 10px; background: var(--ground); border: 1px solid var(--line); border-radius: 6px; font-size: 12px;
  color: var(--soft); pointer-events: none; visibility: hidden; }
canvas:focus-visible ~ .help:not(:empty) { visibility: visible; }
.legend { margin: 8px 0 0 -6px; gap: 2px 4px; }
.legend button { border-color: transparent; min-height: 28px; padding: 1px 8px 1px 4px; }
.legend button[aria-pressed=false] { color: var(--soft); text-decoration: line-through; }
.legend button[aria-pressed=false] svg { opacity: .3; }
.mark { width: 20px; height: 20px; flex: none; }
small { font-size: 11px; color: var(--soft); }
.held { border: 1px solid var(--line); border-radius: 9px; padding: 0 6px; white-space: nowrap; }
.tip { position: absolute; left: 0; top: 0; width: 288px; padding: 10px; pointer-events: none; z-index: 2;
  background: var(--ground); border: 1px solid var(--line); border-radius: 8px;
  box-shadow: 0 4px 18px rgb(0 0 0 / .2); }
.tip.pinned { border-color: var(--soft); }
.head { display: flex; gap: 12px; align-items: center; }
.words { display: flex; flex-direction: column; align-items: flex-start; gap: 3px; }
.head b { display: flex; align-items: center; gap: 4px; font-size: 14px; font-weight: 600; margin-left: -3px; }
.tip p { margin: 9px 0 5px; font-size: 11px; color: var(--soft); }
.near { display: grid; grid-template-columns: repeat(5, 1fr); gap: 5px; text-align: center; font-size: 10.5px;
  line-height: 1.2; }
.near > div { display: flex; flex-direction: column; align-items: center; gap: 2px; min-width: 0;
  overflow-wrap: anywhere; }
.near small { font-size: 10.5px; font-variant-numeric: tabular-nums; margin-top: auto; }
.thumb { border: 2px solid; border-radius: 4px; image-rendering: pixelated; display: grid; place-items: center;
  flex: none; background-clip: padding-box; }
.announcer { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
[hidden] { display: none !important; }
@container (max-width: 480px) {
  .stage { aspect-ratio: 1; }
  .bar, .group { gap: 5px; }
  .bar button { padding: 2px 8px; }
  .tip { width: 272px; padding: 8px; }
  .tip p { margin: 6px 0 4px; }
}
@media (pointer: coarse) { button { min-height: 38px; min-width: 36px; } .legend button { min-height: 34px; } }
`;

export const HTML = `<style>${STYLE}</style>
<div class="bar" role="group"><span class="note"></span>
  <span class="group">${button("images")}${button("trails")}</span>
  <span class="group">${icon("in", "M8 3v10M3 8h10")}${icon("out", "M3 8h10")}
    ${icon("reset", "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4")}</span></div>
<div class="stage"><canvas tabindex="0" role="application"></canvas><div class="hint" hidden></div>
  <div class="help" aria-hidden="true"></div><div class="tip" aria-hidden="true" hidden></div></div>
<div class="legend" role="group"></div><div class="announcer" role="status"></div>`;

// One image out of the atlas, enlarged without blur; the class's marker where there are no images.
export function thumb(view, i, size) {
  const c = view.labels[i];
  const { columns, width, height } = view.painter.atlas ? view.meta.sprite : { columns: 1, width: 1, height: 1 };
  const tall = Math.round((size * height) / width);
  const box = make("div", "thumb");
  box.style.cssText = `width: ${size + 4}px; height: ${tall + 4}px`;
  box.style.borderColor = view.colours[c];
  if (!view.painter.atlas) {
    box.append(mark(view.outlines[c], view.colours[c], false));
    return box;
  }
  box.style.backgroundImage = `url(${JSON.stringify(view.url)})`;
  box.style.backgroundSize = `${columns * size}px auto`;
  box.style.backgroundPosition = `${-(i % columns) * size}px ${-Math.floor(i / columns) * tall}px`;
  return box;
}

export function tooltip(view, i) {
  const { text, classes, labels } = view;
  const heldOut = view.heldOut.has(labels[i]);
  const name = make("b", "", mark(view.outlines[labels[i]], view.colours[labels[i]], heldOut), classes[labels[i]]);
  const words = make("div", "words", name, make("small", "", fill(text.point, { index: i % (view.meta.second ?? Infinity) })));
  if (heldOut) words.append(make("small", "held", text.held_out ?? ""));
  if (view.isSecond(i)) words.append(make("small", "", text.second ?? ""));
  const tiles = view.nearest(i).map(([j, distance]) => make("div", "", thumb(view, j, 38),
    make("span", "", classes[labels[j]]),
    make("small", "", distance === undefined ? "" : String(Number(distance.toPrecision(3))))));
  view.tip.replaceChildren(make("div", "head", thumb(view, i, view.width < 480 ? 56 : 84), words),
    make("p", "", (view.paired(i) ? text.pair : text.neighbours) ?? ""), make("div", "near", ...tiles));
}
