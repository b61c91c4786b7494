// The replay: recorded runs, one to four side by side, played in the browser without asking the server again.
//
// data: {runs: addresses of messages that replay/message.js describes, titles, text}, and perhaps {autoplay, loop,
// seconds, compact}: how they are played.
// One clock moves all runs; each shows its latest frame, and its charts the same step. The DOM is built once per
// parent element, and a later call with the same addresses changes nothing but titles.

import { fill, mounted } from "../dom.js";
import { Clock } from "./clock.js";
import { build, name, showPlaying } from "./dom.js";
import { History, historyLimit } from "./history.js";
import { listen } from "./input.js";
import { load } from "./message.js";
import { lossLimit, Pairs, shareLimit } from "./pairs.js";
import { link, share, Stage } from "./stage.js";
import { Studio } from "./studio.js";

const SECONDS = 8;
const COUNTED = 30; // drawings over which frames per second are counted

class Replay {
  constructor(parent) {
    Object.assign(this, build(), { stages: [], charts: [], clock: null, inSight: true });
    this.root.__replay = this; // for tests
    Object.assign(this.root.dataset, { mounts: 1, fps: "" });
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.studio = new Studio(this);
    listen(this);
    parent.append(this.root);
    new IntersectionObserver((changes) => {
      this.inSight = changes.at(-1).isIntersecting;
      this.wake();
    }).observe(this.root);
  }

  // ---- data -----------------------------------------------------------------------------------------------------

  update(data) {
    const asked = JSON.stringify(data.runs);
    if (asked === this.asked) return this.again(data);
    Object.assign(this, { asked, data, text: data.text });
    this.root.classList.toggle("compact", Boolean(data.compact));
    name(this.root, this.parts, this.text);
    this.clear();
    return this.fetch();
  }

  again(data) { // the same runs, which may have other names by now
    this.data = data;
    this.stages.forEach((stage, i) => stage.name(data.titles[i] ?? ""));
    this.wake();
  }

  clear() {
    const { parts, root, text } = this;
    this.studio.leave();
    for (const { view } of this.stages) view.disconnect();
    Object.assign(this, { stages: [], charts: [], clock: null, shown: -1, caption: "" });
    parts.runs.replaceChildren();
    parts.classes.replaceChildren();
    parts.tools.querySelector(".group")?.remove();
    parts.restless.ariaPressed = false;
    parts.tools.hidden = parts.player.hidden = true;
    Object.assign(root.dataset, { loaded: "", runs: 0, frame: "", step: "", playing: false });
    showPlaying(parts, false, text);
  }

  async fetch() {
    const { asked, text, data, parts } = this;
    parts.wait.hidden = parts.progress.hidden = false;
    parts.retry.hidden = true;
    parts.progress.removeAttribute("value");
    parts.waitNews.textContent = text.loading;
    this.root.dataset.loaded = "";
    const onProgress = (part) => {
      if (asked !== this.asked) return;
      parts.progress.value = part;
      parts.waitNews.textContent = fill(text.loaded_part, { percent: Math.round(100 * part) });
    };
    try {
      const runs = await load(data.runs, onProgress);
      if (asked === this.asked) this.start(runs);
    } catch (error) {
      if (asked !== this.asked) return;
      console.warn(error);
      this.clear(); // of what was begun
      parts.waitNews.textContent = text[error.message] ?? text.damaged;
      parts.wait.hidden = parts.retry.hidden = false;
      parts.progress.hidden = true;
      this.root.dataset.loaded = "failed";
    }
  }

  start(runs) {
    const { data, text, parts } = this;
    const steps = [...new Set(runs.flatMap((run) => run.steps))].sort((a, b) => a - b);
    this.clock = new Clock(steps, data.seconds ?? SECONDS, Boolean(data.loop));
    this.total = Math.max(...runs.map(({ meta }) => meta.total));
    parts.wait.hidden = true;
    parts.waitNews.textContent = "";
    parts.player.hidden = false;
    parts.tools.hidden = Boolean(data.compact);
    parts.speed.value = this.clock.speed;
    parts.again.ariaPressed = this.clock.loop;
    parts.scrub.disabled = parts.go.disabled = parts.film.disabled = steps.length < 2;
    Object.assign(parts.scrub, { min: steps[0], max: steps.at(-1) });
    parts.runs.style.setProperty("--runs", runs.length);
    this.stages = runs.map((run, i) => new Stage(run, data.titles[i] ?? "", text));
    parts.runs.append(...this.stages.map(({ element }) => element));
    link(this.stages);
    share(this.stages);
    this.arrange();
    if (!data.compact) this.draw(runs);
    Object.assign(this.root.dataset, { loaded: true, runs: runs.length });
    this.show();
    if (data.autoplay && !this.calm.matches) this.play();
  }

  arrange() { // one row of buttons, and one legend where all runs are of the same images
    const views = this.stages.map(({ view }) => view);
    const [first, ...others] = views;
    this.parts.tools.prepend(first.images.parentElement);
    for (const view of others) view.images.parentElement.remove();
    for (const toggle of ["images", "trails"]) {
      first[toggle].onclick = () => views.forEach((view) => view.toggle(toggle));
    }
    if (others.length && first.linked.length === others.length) {
      this.parts.classes.append(first.legend);
      for (const view of others) view.legend.remove();
    }
    if (this.data.compact) for (const view of views) view.bar.remove();
  }

  draw(runs) { // the charts, with scales that all runs share
    const limits = { loss: lossLimit(runs), share: shareLimit(runs), history: historyLimit(runs), steps: this.total };
    this.charts = this.stages.map(({ run, charts }) => {
      const pairs = new Pairs(run, limits, this.text);
      const history = new History(run, limits, this.text, (step) => this.seek(this.clock.nearest(step)));
      charts.append(pairs.element, history.element);
      return { pairs, history };
    });
  }

  // ---- the film -------------------------------------------------------------------------------------------------

  play() {
    this.clock.play();
    this.wake();
  }

  pause() { this.seek(this.clock.index); }

  seek(index) { // to a recorded step, and rest there
    if (this.studio.film) return;
    this.clock.seek(index);
    this.show();
  }

  wake() {
    for (const { view } of this.stages) view.connect();
    if (!this.clock?.playing || this.ticket) return;
    Object.assign(this, { last: null, counted: 0 });
    this.show();
    this.ticket = requestAnimationFrame((now) => this.tick(now));
  }

  tick(now) {
    this.ticket = null;
    if (!this.clock?.playing || !(this.inSight || this.studio.film)) return; // it goes on when it is seen again
    this.count(now);
    this.clock.move((now - (this.last ?? now)) / 1000);
    this.last = now;
    this.show();
    this.studio.shoot();
    if (this.clock.playing) this.ticket = requestAnimationFrame((later) => this.tick(later));
  }

  count(now) {
    if (this.counted % COUNTED === 0) {
      if (this.counted) this.root.dataset.fps = Math.round((1000 * COUNTED) / (now - this.since));
      this.since = now;
    }
    this.counted += 1;
  }

  show() {
    const { clock, stages, parts, root } = this;
    const { index, step, playing } = clock;
    const turned = index !== this.shown;
    this.shown = index;
    for (const stage of stages) {
      if (playing && !this.calm.matches) stage.glide(clock.at);
      else if (turned || !playing) stage.rest(step);
    }
    parts.scrub.value = clock.at;
    parts.scrub.style.setProperty("--played", `${100 * clock.part}%`);
    if (String(playing) !== root.dataset.playing) {
      root.dataset.playing = playing;
      showPlaying(parts, playing, this.text);
    }
    if (!turned) return;
    parts.step.textContent = this.caption = fill(this.text.step, { step, total: this.total });
    parts.scrub.setAttribute("aria-valuetext", this.caption);
    Object.assign(root.dataset, { frame: index, step });
    this.charts.forEach(({ pairs, history }, i) => {
      pairs.show(stages[i].frame);
      history.show(step);
    });
  }
}

export const render = mounted(Replay, (replay) => replay.clear());
