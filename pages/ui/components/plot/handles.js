// The lines of a plot that can be dragged: the value is the user's while they hold it, else the server's.
//
// A handle is {value, low, high, step, label, key, kind, colour}; kind is "vertical" (x = value) or "diagonal"
// (y = x + value); later ones lie on top. It is "dragged" while a pointer holds it and "dropped" at the end, or by a
// key: [key, value].

import { make } from "../dom.js";
import { area, diagonal, ranges, valueAt, vertical } from "./lines.js";

const SEND_EVERY_MS = 100;
const HOLD_MS = 1000; // how long the user's own value stands against older ones from the server
const NARROW_PX = 480;
const GRIP_PX = 44;

export const HANDLE_STYLE = `
.handle { --c: var(--colour, var(--st-text-color, #31333f)); --back: var(--st-background-color, #fff);
  position: absolute; inset: 0; pointer-events: none; user-select: none; -webkit-user-select: none; }
.rail { position: absolute; z-index: var(--order); width: 9px; margin-left: -4.5px; transform-origin: top;
  pointer-events: auto; cursor: ew-resize; }
.rail i { position: absolute; left: 3.75px; width: 1.5px; background: var(--c); opacity: .6; }
.handle[hidden] { display: none; }
.handle.beyond .rail { display: none; }
.grip { position: absolute; z-index: calc(100 + var(--order)); width: ${GRIP_PX}px; height: ${GRIP_PX}px;
  margin: -${GRIP_PX / 2}px; pointer-events: auto; cursor: ew-resize; touch-action: none; display: grid;
  place-items: center; outline: none; }
.knob { width: 12px; height: 24px; border-radius: 7px; background: var(--c); display: flex; gap: 2px;
  align-items: center; justify-content: center; box-shadow: 0 0 0 2px var(--back); }
.knob::before, .knob::after { content: ""; width: 1px; height: 10px; background: var(--back); }
.diagonal .rail, .diagonal .grip { cursor: ns-resize; }
.grip:hover .knob, .dragging .knob, .grip:focus-visible .knob { background: var(--st-primary-color, #ff4b4b); }
.grip:focus-visible .knob { outline: 2px solid var(--st-primary-color, #ff4b4b); outline-offset: 4px; }
.tag { position: absolute; top: 50%; left: calc(50% + 14px); transform: translateY(-50%); white-space: nowrap;
  font-size: 12px; font-weight: 600; padding: 1px 7px; border-radius: 9px; color: var(--st-text-color, #31333f);
  background: var(--st-secondary-background-color, #f0f2f6); font-variant-numeric: tabular-nums; }
.grip.flip .tag { left: auto; right: calc(50% + 14px); }
`;

export class Handles {
  constructor(view, redraw) {
    this.view = view;
    this.redraw = redraw;
    this.byKey = new Map();
  }

  receive(specs, text) {
    const wanted = new Set(specs.map((spec) => spec.key));
    for (const [key, handle] of this.byKey) {
      if (wanted.has(key)) continue;
      handle.remove();
      this.byKey.delete(key);
    }
    specs.forEach((spec, order) => {
      if (!this.byKey.has(spec.key)) this.byKey.set(spec.key, new Handle(this.view, this.redraw));
      this.byKey.get(spec.key).receive(spec, order, text);
    });
    const { dataset } = this.view.root;
    if (specs.length) dataset.handle = this.byKey.get(specs[0].key).value;
    else delete dataset.handle;
  }

  place() {
    for (const handle of this.byKey.values()) handle.place();
  }

  get held() {
    return [...this.byKey.values()].find((handle) => handle.drag)?.drag.ranges;
  }
}

class Handle {
  constructor(view, redraw) {
    Object.assign(this, { view, redraw, offer: throttle(), segments: [] });
    this.rail = make("div", "rail");
    this.tag = make("div", "tag");
    this.grip = Object.assign(make("div", "grip", make("div", "knob"), this.tag), { tabIndex: 0, role: "slider" });
    this.node = Object.assign(make("div", "handle", this.rail, this.grip), { hidden: true });
    view.root.append(this.node);
    this.listen();
  }

  remove() {
    this.release();
    this.node.remove();
  }

  receive(spec, order, text) {
    Object.assign(this, { spec, order });
    this.node.dataset.key = spec.key;
    this.node.style.setProperty("--order", order); // a node that moved in the document would lose its pointer
    this.node.style.setProperty("--colour", spec.colour ?? "");
    if (this.drag || this.waiting) {
      this.pending = spec.value;
      if (!this.drag && Math.abs(spec.value - this.value) < spec.step / 2) this.release();
      return;
    }
    this.node.classList.toggle("diagonal", spec.kind === "diagonal");
    this.grip.title = text.drag_hint ?? "";
    this.grip.setAttribute("aria-label", spec.label);
    this.show(spec.value);
  }

  release() {
    clearTimeout(this.waiting);
    this.waiting = this.drag = this.pending = null;
    this.node.classList.remove("dragging");
    this.offer.cancel();
  }

  rounded(value) {
    const { low, high, step } = this.spec;
    const stepped = low + Math.round((value - low) / step) * step;
    return Number(Math.min(high, Math.max(low, stepped)).toFixed(digits(step) + 2));
  }

  show(value) {
    this.value = value;
    const { low, high, step, label } = this.spec;
    if (!this.order) this.view.root.dataset.handle = value;
    const words = value.toFixed(digits(step));
    // On a phone the whole label would cover the curves: what follows " · " says only which of several losses it is.
    const short = this.view.root.clientWidth < NARROW_PX ? label.split(" · ")[0] : label;
    this.tag.textContent = `${short} ${words}`;
    for (const [name, at] of [["valuemin", low], ["valuemax", high], ["valuenow", value], ["valuetext", words]]) {
      this.grip.setAttribute(`aria-${name}`, at);
    }
    this.place();
  }

  place() {
    const full = this.view.plot._fullLayout;
    if (!this.spec || !this.view.drawn || !full?.xaxis) return;
    const line = this.spec.kind === "diagonal" ? diagonal : vertical;
    const { grip, rail } = line(full, this.value, this.order);
    const { left, right, top, foot } = area(full);
    const x = Math.min(right, Math.max(left, grip.x));
    const y = Math.min(foot, Math.max(top, grip.y));
    this.node.hidden = false;
    this.node.classList.toggle("beyond", Math.hypot(grip.x - x, grip.y - y) > 0.5);
    this.grip.style.left = `${x}px`;
    this.grip.style.top = `${y}px`;
    this.grip.classList.toggle("flip", x + 30 + this.tag.offsetWidth > right);
    Object.assign(this.rail.style, {
      left: `${rail.x}px`, top: `${rail.y}px`, height: `${rail.length}px`, transform: `rotate(${rail.turn}rad)`,
    });
    this.cut(rail.pieces);
  }

  cut(pieces) {
    while (this.segments.length > pieces.length) this.segments.pop().remove();
    while (this.segments.length < pieces.length) {
      this.segments.push(this.rail.appendChild(document.createElement("i")));
    }
    pieces.forEach(([from, to], n) => {
      Object.assign(this.segments[n].style, { top: `${from}px`, height: `${Math.max(0, to - from)}px` });
    });
  }

  move(value) {
    this.show(this.rounded(value));
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.settle(), HOLD_MS);
    const name = this.drag ? "dragged" : "dropped";
    this.offer.soon(this.value, (last) => this.view.send?.(name, [this.spec.key, last]));
  }

  settle() {
    this.waiting = null;
    const { pending } = this;
    if (this.drag || pending == null) return;
    this.pending = null;
    this.show(pending);
  }

  listen() {
    const under = (event) => {
      const box = this.view.root.getBoundingClientRect();
      const full = this.view.plot._fullLayout;
      return valueAt(full, this.spec.kind, event.clientX - box.left, event.clientY - box.top);
    };
    const grab = (event) => {
      const onRail = event.pointerType === "touch" && event.currentTarget === this.rail;
      if (event.button || this.drag || !this.spec || onRail) return;
      event.preventDefault();
      this.grip.focus({ preventScroll: true });
      event.currentTarget.setPointerCapture(event.pointerId);
      // A line beyond the axis is taken up where its grip is, not where the line would be.
      const offset = this.node.classList.contains("beyond") ? 0 : this.value - under(event);
      this.drag = { pointer: event.pointerId, offset, ranges: ranges(this.view.plot._fullLayout), moved: false };
      this.node.classList.add("dragging");
    };
    const drag = (event) => {
      if (event.pointerId !== this.drag?.pointer) return;
      const value = this.rounded(under(event) + this.drag.offset);
      if (value === this.value) return;
      this.drag.moved = true;
      this.move(value);
    };
    const drop = (event) => {
      if (event.pointerId !== this.drag?.pointer) return;
      const { moved } = this.drag;
      this.drag = null;
      this.node.classList.remove("dragging");
      this.offer.cancel();
      if (moved) this.view.send?.("dropped", [this.spec.key, this.value]);
      this.redraw();
    };
    for (const node of [this.grip, this.rail]) {
      node.addEventListener("pointerdown", grab);
      node.addEventListener("pointermove", drag);
      node.addEventListener("pointerup", drop);
      node.addEventListener("pointercancel", drop);
    }
    this.grip.addEventListener("keydown", (event) => {
      const { low, high, step } = this.spec;
      const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
      const value = { Home: low, End: high }[event.key] ?? (by && this.value + by * step);
      if (value === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      this.move(value);
    });
  }
}

function digits(step) {
  return Math.max(0, Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)));
}

// At most one call in SEND_EVERY_MS: the first value at once, then always the newest.
function throttle() {
  let timer = null;
  let waiting = null;
  const fire = () => {
    timer = null;
    if (!waiting) return;
    const { value, send } = waiting;
    waiting = null;
    timer = setTimeout(fire, SEND_EVERY_MS);
    send(value);
  };
  return {
    soon(value, send) {
      waiting = { value, send };
      if (timer === null) fire();
    },
    cancel() {
      waiting = null;
    },
  };
}
