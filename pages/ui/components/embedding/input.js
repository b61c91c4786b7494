// Pointer, wheel, keyboard and buttons of the embedding view, turned into what the view can do.

import { clamp } from "./maths.js";

const REACH = { mouse: 12, pen: 14, touch: 22 }; // CSS px between a pointer and the point that it means
const STEP = 1.5; // what one press of + or - zooms
const STILL = 4; // CSS px that a click may move
const SCROLL = 300; // ms: a pause this long ends a turn of the wheel

export class Input {
  constructor(view) {
    const { canvas, root } = view;
    Object.assign(this, { view, canvas, pointers: new Map(), click: null, scrolled: -Infinity });
    view.in.onclick = () => view.camera.zoom(STEP);
    view.out.onclick = () => view.camera.zoom(1 / STEP);
    view.reset.onclick = canvas.ondblclick = () => view.camera.restart();
    for (const toggle of ["images", "trails"]) view[toggle].onclick = () => view.toggle(toggle);
    canvas.onpointerdown = (event) => this.down(event);
    canvas.onpointermove = (event) => this.move(event);
    canvas.onpointerup = canvas.onpointercancel = (event) => this.up(event);
    canvas.onpointerleave = () => view.set("hovered", -1);
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    root.onkeydown = (event) => this.key(event);
    // A change of theme changes CSS variables only, and a one-millisecond transition is what tells of it.
    root.ontransitionend = (event) => { if (event.target === root) view.wake(); };
    this.elsewhere = (event) => { if (!event.composedPath().includes(canvas)) this.scrolled = event.timeStamp; };
  }

  connect() { document.addEventListener("wheel", this.elsewhere, { capture: true, passive: true }); }

  disconnect() { document.removeEventListener("wheel", this.elsewhere, { capture: true }); }

  spot(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  pick({ x, y }, event) { return this.view.pick(x, y, REACH[event.pointerType] ?? REACH.mouse); }

  down(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.spot(event));
    this.click = this.pointers.size === 1 ? this.spot(event) : null; // a second finger makes it no click
  }

  move(event) {
    const to = this.spot(event);
    const from = this.pointers.get(event.pointerId);
    if (!from && event.pointerType !== "touch") this.view.set("hovered", this.pick(to, event));
    if (!from || (this.click && Math.hypot(to.x - this.click.x, to.y - this.click.y) < STILL)) return;
    this.click = null;
    this.pointers.set(event.pointerId, to);
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) this.pinch(from, to, other);
    else this.view.camera.drag(to.x - from.x, to.y - from.y);
  }

  pinch(from, to, other) {
    const distance = (finger) => Math.max(10, Math.hypot(finger.x - other.x, finger.y - other.y));
    if (this.view.dim === 2) this.view.camera.drag((to.x - from.x) / 2, (to.y - from.y) / 2);
    this.view.camera.zoom(distance(to) / distance(from), (to.x + other.x) / 2, (to.y + other.y) / 2, false);
  }

  up(event) {
    const clicked = this.pointers.delete(event.pointerId) && this.click && event.type === "pointerup";
    if (clicked) this.view.set("pinned", this.pick(this.click, event));
    this.click = null;
  }

  wheel(event) {
    if (event.timeStamp - this.scrolled < SCROLL) { // the page is scrolling, and the view only came under the pointer
      this.scrolled = event.timeStamp;
      return;
    }
    event.preventDefault();
    const { x, y } = this.spot(event);
    const turned = clamp(event.deltaY * (event.deltaMode === 1 ? 20 : 1), -240, 240);
    const speed = event.ctrlKey ? 0.01 : 0.002; // ctrl: a pinch on a trackpad
    this.view.camera.zoom(Math.exp(-turned * speed), x, y, false);
  }

  key(event) {
    const { view } = this;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const turn = view.dim === 3 ? 30 : -30; // the scene turns, or the window moves over the plane
    const keys = {
      "+": () => view.camera.zoom(STEP),
      "=": () => view.camera.zoom(STEP),
      "-": () => view.camera.zoom(1 / STEP),
      0: () => view.camera.restart(),
      n: () => view.walk(1),
      p: () => view.walk(-1),
      Escape: () => view.set("pinned", -1),
      ArrowLeft: () => view.camera.drag(-turn, 0),
      ArrowRight: () => view.camera.drag(turn, 0),
      ArrowUp: () => view.camera.drag(0, -turn),
      ArrowDown: () => view.camera.drag(0, turn),
    };
    if (!keys[event.key] || (event.key !== "Escape" && event.target !== this.canvas)) return;
    keys[event.key]();
    event.preventDefault();
    event.stopPropagation(); // the page has shortcuts of its own
  }
}
