// The fixed parts of the replay view: its markup, its style and its words.

import { icon, make } from "../dom.js";
import { STYLE } from "../embedding/dom.js";
import { SPEEDS } from "./clock.js";

const REPLAY_STYLE = `
.replay { container: replay / inline-size; }
.replay > .tools { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; margin-bottom: 8px; }
.replay > .tools .news { flex: 1 1 120px; text-align: right; color: var(--soft); font-size: 12px; }
.replay > .classes { margin-bottom: 8px; }
.wait { display: grid; gap: 10px; place-items: center; place-content: center; min-height: 220px; color: var(--soft);
  font-size: 14px; text-align: center; border: 1px solid var(--line); border-radius: 8px; padding: 16px; }
.wait button { color: var(--text); }
.wait progress { width: 220px; accent-color: var(--primary); }
.runs { display: grid; gap: 20px 16px; grid-template-columns: repeat(var(--runs), minmax(0, 1fr)); }
.run { display: grid; gap: 8px 20px; min-width: 0; grid-row: span 3; grid-template-rows: subgrid; }
.head-line, .picture, .charts { min-width: 0; }
.charts { display: grid; gap: 12px; align-content: start; grid-template-columns: minmax(0, 1fr); }
.charts:empty { display: none; }
.head-line { display: flex; gap: 8px; align-items: center; justify-content: space-between; }
.head-line h3 { font: inherit; font-size: 14px; font-weight: 600; margin: 0; min-width: 0; overflow-wrap: anywhere; }
.replay .head-line .bar { margin: 0; flex: 1 1 auto; flex-wrap: nowrap; }
.head-line .note { text-align: right; }
.compact .head-line:has(h3:empty) { display: none; }
.restless p { margin: 8px 0 6px; color: var(--soft); font-size: 12px; }
.tiles { display: flex; flex-wrap: wrap; gap: 4px; }
.replay .tile { padding: 1px; min-width: 0; min-height: 0; border-color: transparent; }
.chart { margin: 0; }
.chart figcaption { display: flex; flex-wrap: wrap; gap: 2px 12px; font-size: 12px; margin-bottom: 4px; }
.chart figcaption b { font-weight: 600; font-size: 13px; flex: 1 0 100%; }
.legend-entry { display: inline-flex; align-items: center; gap: 5px; color: var(--soft); }
.legend-entry path { fill: none; }
.legend-entry .value { color: var(--text); font-variant-numeric: tabular-nums; min-width: 3.2em; }
.drawing { width: 100%; overflow: hidden; }
.drawing > svg { display: block; overflow: visible; }
.drawing text { font-size: 11px; fill: var(--soft); }
.drawing .title { fill: var(--text); }
.drawing .grid { stroke: var(--line); stroke-width: 1; opacity: .7; }
.drawing path:not(.bars) { fill: none; stroke-linejoin: round; }
.drawing .bars { fill-opacity: .3; }
.drawing .cursor { stroke: var(--text); stroke-width: 1.2; opacity: .75; }
.drawing .seek { cursor: ew-resize; touch-action: pan-y; }
.player { position: sticky; bottom: 0; z-index: 3; display: flex; flex-wrap: wrap; gap: 6px 10px; align-items: center;
  padding: 8px 0; margin-top: 10px; background: var(--ground); border-top: 1px solid var(--line); }
.compact .player { position: static; border: none; padding: 0; }
.player .icon { padding: 0; width: 34px; height: 32px; }
.player .icon svg { fill: currentColor; stroke: none; }
.replay .player .go { background: var(--primary); border-color: var(--primary); color: #fff; width: 44px; }
.player .again svg { fill: none; stroke: currentColor; }
.player .scrub { flex: 1 1 200px; min-width: 120px; height: 28px; margin: 0; cursor: pointer; appearance: none;
  border-radius: 6px; background: linear-gradient(to right, var(--primary) var(--played, 0%), var(--line) 0)
    center / 100% 5px no-repeat; }
.scrub::-webkit-slider-thumb { appearance: none; width: 18px; height: 18px; border-radius: 50%; border: none;
  background: var(--primary); box-shadow: 0 0 0 2px var(--ground); }
.scrub::-moz-range-thumb { width: 18px; height: 18px; border-radius: 50%; border: none; background: var(--primary);
  box-shadow: 0 0 0 2px var(--ground); }
.scrub:disabled { opacity: .45; cursor: default; }
.player .step { font-variant-numeric: tabular-nums; white-space: nowrap; }
.player select { font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--line);
  border-radius: 6px; height: 32px; padding: 0 4px; }
.player :focus-visible { outline: 2px solid var(--primary); outline-offset: 1px; }
@container replay (min-width: 681px) {
  [data-runs="1"]:not(.compact) .run { grid-template: auto 1fr / minmax(0, 8fr) minmax(0, 5fr); }
  [data-runs="1"] .charts { grid-area: 1 / 2 / 3 / 3; }
}
@container replay (max-width: 1000px) { .runs { grid-template-columns: repeat(min(2, var(--runs)), minmax(0, 1fr)); } }
@container replay (max-width: 680px) {
  .replay > .tools button { padding: 2px 7px; }
  .replay > .tools .news:empty { flex-basis: 0; }
  .runs { grid-template-columns: minmax(0, 1fr); }
  .player { gap: 6px; }
  .player .scrub { flex-basis: 100%; order: -1; }
  .player .step { flex: 1; text-align: right; }
}
@media (pointer: coarse) {
  .player .icon, .player select, .player .scrub { height: 40px; }
  .player .icon { width: 44px; }
}
`;

const REPEAT = "M2.5 7.5V7A2.5 2.5 0 0 1 5 4.5h8M13.5 8.5V9A2.5 2.5 0 0 1 11 11.5H3"
  + "M11 2.2l2.4 2.3L11 6.8M5 9.2l-2.4 2.3L5 13.8";
const PLAY = "M4 2.5v11l9.5-5.5z";
const PAUSE = "M4 2.5h3v11H4zM9 2.5h3v11H9z";

const HTML = `<style>${STYLE}${REPLAY_STYLE}</style>
<div class="wait" role="status"><span class="news"></span><progress max="1"></progress>
  <button class="retry" type="button" hidden></button></div>
<div class="tools" role="group" hidden><button class="restless-toggle" type="button" aria-pressed="false"></button>
  <span class="news" role="status"></span><button class="cancel" type="button" hidden></button>
  <button class="save" type="button"></button><button class="film" type="button"></button></div>
<div class="classes"></div><div class="runs"></div>
<div class="player" role="group" hidden>${icon("start", "M3 3h2v10H3zM13 3v10L6 8z")}${icon("go", PLAY)}
  ${icon("end", "M11 3h2v10h-2zM3 3v10l7-5z")}
  <input class="scrub" type="range" step="any"><span class="step"></span>
  <select class="speed">${SPEEDS.map((speed) => `<option value="${speed}">${speed}×</option>`).join("")}</select>
  ${icon("again", REPEAT)}</div>`;

const PARTS = { wait: ".wait", waitNews: ".wait .news", progress: "progress", retry: ".retry", tools: ".tools",
  restless: ".restless-toggle", news: ".tools .news", cancel: ".cancel", save: ".save", film: ".film",
  classes: ".classes", runs: ".runs", player: ".player", start: ".start", go: ".go", end: ".end", scrub: ".scrub",
  step: ".step", speed: ".speed", again: ".again" };

export function build() { // the root, and its parts by name
  const root = make("div", "replay themed");
  root.role = "group";
  root.innerHTML = HTML;
  const parts = Object.entries(PARTS).map(([name, selector]) => [name, root.querySelector(selector)]);
  return { root, parts: Object.fromEntries(parts) };
}

export function name(root, parts, text) {
  root.ariaLabel = text.label;
  for (const [part, words] of Object.entries({
    restless: text.restless, cancel: text.cancel, save: text.picture, film: text.film, retry: text.again,
  })) parts[part].textContent = words;
  for (const [part, words] of Object.entries({
    restless: text.restless_help, save: text.picture_help, film: text.film_help, again: text.loop_help,
  })) parts[part].title = words;
  for (const [part, words] of Object.entries({
    tools: text.tools, player: text.player, start: text.start, end: text.end, scrub: text.scrubber, speed: text.speed,
    again: text.loop,
  })) parts[part].ariaLabel = words;
  for (const part of ["start", "end", "speed"]) parts[part].title = parts[part].ariaLabel;
}

export function showPlaying({ go }, playing, text) {
  go.title = go.ariaLabel = playing ? text.pause : text.play;
  go.querySelector("path").setAttribute("d", playing ? PAUSE : PLAY);
}
