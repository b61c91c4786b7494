// What is shown, as files made in the browser: all runs' embeddings side by side, once as a PNG or all along as a WebM.

const EDGE = 16; // CSS px
const HEAD = 34;
const FOOT = 32;
const RATE = 30; // frames a second
const BITS = 8e6; // a second
const TYPE = "video/webm";

export const canFilm = () => "captureStream" in HTMLCanvasElement.prototype
  && globalThis.MediaRecorder?.isTypeSupported(TYPE);

export function compose(canvas, stages, caption) { // draws on the canvas, in the theme's colours
  const { ground, text, line, font, dpr } = stages[0].view.painter;
  const canvases = stages.map(({ view }) => view.canvas);
  const px = (value) => Math.round(value * dpr);
  const even = (value) => value + (value % 2); // as films want it
  const width = even(canvases.reduce((sum, view) => sum + view.width + px(EDGE), px(EDGE)));
  const height = even(Math.max(...canvases.map((view) => view.height)) + px(HEAD) + px(FOOT));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  Object.assign(pen, { fillStyle: ground, strokeStyle: line, lineWidth: dpr, textBaseline: "middle" });
  pen.fillRect(0, 0, width, height);
  pen.fillStyle = text;
  let left = px(EDGE);
  canvases.forEach((view, i) => {
    pen.font = `600 ${px(14)}px ${font}`;
    pen.fillText(stages[i].title, left, px(HEAD / 2), view.width);
    pen.drawImage(view, left, px(HEAD));
    pen.strokeRect(left, px(HEAD), view.width, view.height);
    left += view.width + px(EDGE);
  });
  pen.font = `${px(13)}px ${font}`;
  pen.fillText(caption, px(EDGE), height - px(FOOT / 2));
}

export function png(stages, caption) { // a promise of a PNG
  const canvas = document.createElement("canvas");
  compose(canvas, stages, caption);
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
}

export class Film {
  constructor(stages, caption) {
    Object.assign(this, { stages, canvas: document.createElement("canvas"), chunks: [], started: false });
    this.add(caption);
    this.recorder = new MediaRecorder(this.canvas.captureStream(RATE), { mimeType: TYPE, videoBitsPerSecond: BITS });
    this.recorder.onstart = () => { this.started = true; };
    this.recorder.ondataavailable = ({ data }) => this.chunks.push(data);
    this.ended = new Promise((resolve, reject) => {
      this.recorder.onstop = resolve;
      this.recorder.onerror = ({ error }) => reject(error);
    });
    // A page that nobody sees is not drawn: the film waits with it.
    this.waits = () => {
      if (this.recorder.state !== "inactive") this.recorder[document.hidden ? "pause" : "resume"]();
    };
    document.addEventListener("visibilitychange", this.waits);
    this.recorder.start();
  }

  add(caption) { compose(this.canvas, this.stages, caption); }

  async end() { // a promise of the film so far
    document.removeEventListener("visibilitychange", this.waits);
    if (this.recorder.state !== "inactive") this.recorder.stop();
    await this.ended;
    return new Blob(this.chunks, { type: TYPE });
  }
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
