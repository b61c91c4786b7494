// The lines of a plot that can be dragged: the value is the user's while they hold it, else the server's.
//
// A handle is {value, low, high, step, label, key, kind, colour}; kind is "vertical" (x = value) or "diagonal"
// (y = x + value). It is "dragged" while a pointer holds it and "dropped" at the end, or by a key: [key, value].

const SEND_EVERY_MS = 100;
const HOLD_MS = 1000; // how long the user's own value stands against older ones from the server
const GRIP_PX = 44;
const STAGGER_PX = 40; // between the grips of several lines

export const HANDLE_STYLE = `
.handle { --c: var(--colour, var(--st-text-color, #31333f)); --back: var(--st-background-color, #fff); position: absolute; inset: 0; pointer-events: none; user-select: none;
  -webkit-user-select: none; }
.rail { position: absolute; width: 9px; margin-left: -4.5px; transform-origin: top; pointer-events: auto; cursor: ew-resize; }
.rail i { position: absolute; left: 3.75px; width: 1.5px; background: var(--c); opacity: .6; }
.handle[hidden] { display: none; }
.handle.beyond .rail { display: none; }
.grip { position: absolute; width: ${GRIP_PX}px; height: ${GRIP_PX}px; margin: -${GRIP_PX / 2}px; pointer-events: auto;
  cursor: ew-resize; touch-action: none; display: grid; place-items: center; outline: none; }
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

export function element(className, parent) {
  const node = document.createElement("div");
  node.className = className;
  parent.append(node);
  return node;
}

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
    specs.forEach((spec, n) => {
      if (!this.byKey.has(spec.key)) this.byKey.set(spec.key, new Handle(this.view, this.redraw));
      this.byKey.get(spec.key).receive(spec, n, text);
    });
    const { dataset } = this.view.root;
    if (specs.length) dataset.handle = this.byKey.get(specs[0].key).value;
    else delete dataset.handle;
  }

  place() {
    for (const handle of this.byKey.values()) handle.place();
  }

  get held() { // an axis that grew under the pointer would change the value that the pointer means
    return [...this.byKey.values()].find((handle) => handle.drag)?.drag.ranges;
  }
}

class Handle {
  constructor(view, redraw) {
    Object.assign(this, { view, redraw, offer: throttle(), segments: [] });
    this.node = element("handle", view.root);
    this.node.hidden = true;
    this.rail = element("rail", this.node);
    this.grip = element("grip", this.node);
    element("knob", this.grip);
    this.tag = element("tag", this.grip);
    this.grip.tabIndex = 0;
    this.grip.setAttribute("role", "slider");
    this.listen();
  }

  remove() {
    this.release();
    this.node.remove();
  }

  receive(spec, place, text) {
    Object.assign(this, { spec, order: place });
    this.node.dataset.key = spec.key;
    if (this.drag || this.waiting) {
      this.pending = spec.value;
      if (!this.drag && Math.abs(spec.value - this.value) < spec.step / 2) this.release();
      return;
    }
    this.node.classList.toggle("diagonal", spec.kind === "diagonal");
    if (spec.colour) this.node.style.setProperty("--colour", spec.colour);
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
    this.tag.textContent = `${label} ${words}`;
    for (const [name, at] of [["valuemin", low], ["valuemax", high], ["valuenow", value], ["valuetext", words]]) {
      this.grip.setAttribute(`aria-${name}`, at);
    }
    this.place();
  }

  place() {
    const full = this.view.plot._fullLayout;
    if (!this.spec || !this.view.drawn || !full?.xaxis) return;
    const x = full.xaxis;
    const ys = Object.keys(full).filter((key) => /^yaxis\d*$/.test(key)).map((key) => full[key]);
    const top = Math.min(...ys.map((y) => y._offset));
    const foot = Math.max(...ys.map((y) => y._offset + y._length));
    const left = x._offset;
    const right = x._offset + x._length;
    const { grip, rail } = this.spec.kind === "diagonal" ? this.diagonal(full) : this.vertical(x, ys, top, foot);
    const beyond = grip.x < left - 0.5 || grip.x > right + 0.5 || grip.y < top - 0.5 || grip.y > foot + 0.5;
    this.node.hidden = false;
    this.node.classList.toggle("beyond", beyond);
    const gripX = Math.min(right, Math.max(left, grip.x));
    this.grip.style.left = `${gripX}px`;
    this.grip.style.top = `${Math.min(foot, Math.max(top, grip.y))}px`;
    this.grip.classList.toggle("flip", gripX + 30 + this.tag.offsetWidth > right);
    Object.assign(this.rail.style, {
      left: `${rail.x}px`, top: `${rail.y}px`, height: `${rail.length}px`, transform: `rotate(${rail.turn}rad)`,
    });
    this.cut(rail);
  }

  // One piece of line a panel: between them stand the titles.
  cut({ pieces }) {
    while (this.segments.length > pieces.length) this.segments.pop().remove();
    while (this.segments.length < pieces.length) {
      this.segments.push(this.rail.appendChild(document.createElement("i")));
    }
    pieces.forEach(([from, to], n) => {
      Object.assign(this.segments[n].style, { top: `${from}px`, height: `${Math.max(0, to - from)}px` });
    });
  }

  // The first grip sits under the first panel: between two panels it covers neither. Others climb, out of its way.
  vertical(x, ys, top, foot) {
    const at = x._offset + x.d2p(this.value);
    const end = ys[0]._offset + ys[0]._length;
    const next = Math.min(foot, ...ys.slice(1).map((y) => y._offset).filter((y) => y > end));
    const y = this.order ? Math.max(top + 20, end - 10 - STAGGER_PX * this.order) : (end + next) / 2;
    const pieces = ys.map((axis) => [axis._offset - top, axis._offset + axis._length - top]);
    return { grip: { x: at, y }, rail: { x: at, y: top, length: foot - top, turn: 0, pieces } };
  }

  diagonal({ xaxis: x, yaxis: y }) {
    const [x0, x1] = x.range;
    const [y0, y1] = y.range;
    const clip = (at) => Math.min(x1, Math.max(x0, at));
    const from = clip(y0 - this.value);
    const to = clip(y1 - this.value);
    const point = (at) => ({ x: x._offset + x.d2p(at), y: y._offset + y.d2p(at + this.value) });
    const a = point(from);
    const b = point(to);
    const length = Math.hypot(b.x - a.x, b.y - a.y);
    return {
      grip: point(from + (to - from) * 0.12),
      rail: { x: a.x, y: a.y, length, turn: Math.atan2(a.x - b.x, b.y - a.y), pieces: [[0, length]] },
    };
  }

  valueAt(px, py) {
    const { xaxis: x, yaxis: y } = this.view.plot._fullLayout;
    const at = x.p2d(px - x._offset);
    return this.spec.kind === "diagonal" ? y.p2d(py - y._offset) - at : at;
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
    const local = (event) => {
      const box = this.view.root.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const grab = (event) => {
      const onRail = event.pointerType === "touch" && event.currentTarget === this.rail;
      if (event.button || this.drag || !this.spec || onRail) return;
      event.preventDefault();
      this.grip.focus({ preventScroll: true });
      event.currentTarget.setPointerCapture(event.pointerId);
      const ranges = {};
      for (const [key, axis] of Object.entries(this.view.plot._fullLayout)) {
        if (/^[xy]axis\d*$/.test(key)) ranges[key] = [...axis.range];
      }
      // A line beyond the axis is taken up where its grip is, not where the line would be.
      const offset = this.node.classList.contains("beyond") ? 0 : this.value - this.valueAt(...local(event));
      this.drag = { pointer: event.pointerId, offset, ranges, moved: false };
      this.node.classList.add("dragging");
    };
    const drag = (event) => {
      if (event.pointerId !== this.drag?.pointer) return;
      const value = this.rounded(this.valueAt(...local(event)) + this.drag.offset);
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
