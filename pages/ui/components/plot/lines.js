// Where the lines of a plot lie, in pixels of its view. `full` is plotly's layout with its axes.

const STAGGER_PX = 40; // between the grips of several lines
const TITLE_PX = 20; // what a panel's title takes above it
const AXIS = /^[xy]axis\d*$/;

export function ranges(full) {
  const axes = Object.keys(full).filter((key) => AXIS.test(key));
  return Object.fromEntries(axes.map((key) => [key, [...full[key].range]]));
}

export function area(full) {
  const panels = panelsOf(full);
  return {
    left: full.xaxis._offset,
    right: full.xaxis._offset + full.xaxis._length,
    top: Math.min(...panels.map((panel) => panel.top)),
    foot: Math.max(...panels.map((panel) => panel.foot)),
  };
}

function panelsOf(full) {
  const axes = Object.keys(full).filter((key) => AXIS.test(key) && key[0] === "y").map((key) => full[key]);
  return axes.map((axis) => ({ top: axis._offset, foot: axis._offset + axis._length }));
}

// x = value. The first grip sits under the first panel, above the title of the next: it covers neither. Others climb, out
// of its way. The line has a piece in each panel: between them stand the titles.
export function vertical(full, value, order) {
  const x = full.xaxis._offset + full.xaxis.d2p(value);
  const panels = panelsOf(full);
  const { top, foot } = area(full);
  const end = panels[0].foot;
  const below = panels.map((panel) => panel.top - TITLE_PX).filter((title) => title > end);
  const next = below.length ? Math.min(...below) : end;
  const y = order ? Math.max(top + 20, end - 10 - STAGGER_PX * order) : (end + next) / 2;
  const pieces = panels.map((panel) => [panel.top - top, panel.foot - top]);
  return { grip: { x, y }, rail: { x, y: top, length: foot - top, turn: 0, pieces } };
}

// y = x + value.
export function diagonal({ xaxis: x, yaxis: y }, value) {
  const [x0, x1] = x.range;
  const [y0, y1] = y.range;
  const clip = (at) => Math.min(x1, Math.max(x0, at));
  const from = clip(y0 - value);
  const to = clip(y1 - value);
  const point = (at) => ({ x: x._offset + x.d2p(at), y: y._offset + y.d2p(at + value) });
  const a = point(from);
  const b = point(to);
  const length = Math.hypot(b.x - a.x, b.y - a.y);
  return {
    grip: point(from + (to - from) * 0.12),
    rail: { x: a.x, y: a.y, length, turn: Math.atan2(a.x - b.x, b.y - a.y), pieces: [[0, length]] },
  };
}

export function valueAt({ xaxis: x, yaxis: y }, kind, px, py) {
  const at = x.p2d(px - x._offset);
  return kind === "diagonal" ? y.p2d(py - y._offset) - at : at;
}
