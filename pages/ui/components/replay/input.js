// Buttons, scrubber and keys of the replay, turned into what it can do.

import { SPEEDS } from "./clock.js";

export function listen(replay) {
  const { root, parts } = replay;
  const toggle = () => (replay.clock.playing ? replay.pause() : replay.play());
  const start = () => replay.seek(0);
  const end = () => replay.seek(Infinity);
  const by = (frames) => () => replay.seek(replay.clock.index + frames);
  const faster = (levels) => () => {
    const { clock } = replay;
    clock.speed = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, SPEEDS.indexOf(clock.speed) + levels))];
    parts.speed.value = clock.speed;
  };
  parts.go.onclick = toggle;
  parts.start.onclick = start;
  parts.end.onclick = end;
  parts.retry.onclick = () => replay.fetch();
  parts.scrub.oninput = () => replay.seek(replay.clock.nearest(Number(parts.scrub.value)));
  parts.speed.onchange = () => { replay.clock.speed = Number(parts.speed.value); };
  parts.again.onclick = () => {
    replay.clock.loop = !replay.clock.loop;
    parts.again.ariaPressed = replay.clock.loop;
  };
  parts.restless.onclick = () => {
    const on = parts.restless.ariaPressed !== "true";
    parts.restless.ariaPressed = on;
    for (const stage of replay.stages) stage.markRestless(on);
  };
  const keys = {
    " ": toggle, ArrowLeft: by(-1), ArrowRight: by(1), Home: start, End: end, ArrowUp: faster(1), ArrowDown: faster(-1),
  };
  // Before the embedding sees them: there, arrows move its camera, and with Shift they still do.
  root.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (!replay.clock || replay.studio.film || event.target === parts.speed) return;
    if (event.key === " " && event.target.matches("button")) return; // it presses the button
    keys[event.key]();
    event.preventDefault();
    event.stopPropagation();
  }, { capture: true });
}
