// The message of the embedding view, which pages/ui/session/embedding_message.py packs.
//
// meta: {key, frame, step, sent, dim, projection, note, second, classes, colours, markers, held_out, sprite, text, pair,
// trails}. key names the images: another one forgets all that was of those before; frame names what is drawn of them.
// sent: ms since 1970; dim: 2 or 3; second: the first point that is a second input, null without such; held_out:
// classes by number; sprite: {url, columns, width, height}, all thumbnails in one image; pair: [i, j, distance] of two
// points that the page points at; trails: whether they are on before anybody has chosen. Only key, frame, classes and
// text are always there.
// Arrays of N points: xy float32 (N, dim); labels int32 (N,); neighbours int32 (N, 5), negative where there is none, and
// distances float32 (N, 5), the nearest first.

import { unpack } from "../wire.js";

export const NO_POINTS = {
  xy: new Float32Array(0), labels: new Int32Array(0), neighbours: new Int32Array(0), distances: new Float32Array(0),
};

export function read(bytes, before) { // {meta, arrays}; without bytes the view of the meta `before` is empty
  return bytes?.length ? unpack(bytes) : { meta: { ...before, note: "" }, arrays: NO_POINTS };
}
