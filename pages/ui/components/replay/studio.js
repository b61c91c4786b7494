// The buttons that make files of a replay: an image of what is shown, a film of one playback.

import { fill } from "../dom.js";
import { canFilm, Film, png, save } from "./export.js";

const LINGER = 30; // drawings that a film stays at its end
const IDLE = ["save", "film", "start", "go", "end", "scrub", "speed", "again"]; // while a film is made

export class Studio {
  constructor(replay) {
    Object.assign(this, { replay, film: null });
    const { parts } = replay;
    parts.save.onclick = () => this.take();
    parts.film.onclick = () => this.begin();
    parts.cancel.onclick = () => this.leave();
  }

  say(words) {
    const { news } = this.replay.parts;
    if (news.textContent !== words) news.textContent = words;
  }

  name(step, suffix) { return `${fill(this.replay.text.file, { step })}.${suffix}`; }

  async take() {
    const { stages, caption, clock } = this.replay;
    save(await png(stages, caption), this.name(clock.step, "png"));
  }

  begin() {
    const { replay, replay: { clock, text, stages } } = this;
    if (!canFilm()) return this.say(text.no_film);
    this.before = { at: clock.index, loop: clock.loop };
    clock.loop = false;
    replay.seek(0);
    this.film = new Film(stages, replay.caption);
    this.film.ended.catch(() => this.leave(text.film_failed));
    this.left = LINGER;
    this.busy(true);
    return this.roll();
  }

  roll() { // a recorder takes its time until it has its first frame
    const { film, replay } = this;
    if (!film) return;
    this.say(fill(replay.text.filming, { percent: 0 }));
    if (film.started) return void replay.play();
    film.add(replay.caption);
    requestAnimationFrame(() => this.roll());
  }

  shoot() { // called after each drawing of the replay
    const { replay: { clock, caption, text } } = this;
    if (!this.film) return;
    this.film.add(caption);
    this.say(fill(text.filming, { percent: 5 * Math.floor(20 * clock.part) })); // a screen reader says each
    if (clock.playing) return;
    if (this.left-- > 0) requestAnimationFrame(() => this.shoot());
    else this.finish();
  }

  async finish() {
    const { film, replay: { clock } } = this;
    this.leave();
    save(await film.end(), this.name(clock.last, "webm"));
  }

  leave(words = "") { // as it was before the film
    const { film, replay, before } = this;
    if (!film) return;
    this.film = null;
    film.end().catch(() => {});
    this.busy(false);
    this.say(words);
    replay.clock.loop = before.loop;
    replay.seek(before.at);
  }

  busy(filming) {
    const { parts } = this.replay;
    parts.cancel.hidden = !filming;
    for (const name of IDLE) parts[name].disabled = filming;
  }
}
