// Axes, their grid, ticks and titles, drawn on the plot's canvas.

import { line } from "./canvas.js";
import { facts } from "./facts.js";
import { tickText } from "./format.js";
import { flat, lanes } from "./latent_axes.js";
import { project } from "./projection.js";
import { middleOf } from "./ranges.js";
import { themed } from "./theme.js";

export const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";

// Round numbers in a range: about `wanted`, at least two.
export function ticks([low, high], wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough * 0.999);
  const list = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) list.push(k * step);
  return list.length < 2 ? ticks([low, high], wanted * 1.5) : list;
}

// The position nearest to (x, y) where text of half width `half` is visible.
const inView = (x, y, half, { width, height }) => [
  Math.min(width - half - 2, Math.max(half + 2, x)),
  Math.min(height - 9, Math.max(9, y)),
];

// Write centered text inside the view; `texts` stores it with its position.
function write(context, text, x, y, { width, height }, texts) {
  const half = context.measureText(text).width / 2;
  const [at, to] = inView(x, y, half, { width, height });
  context.fillText(text, at, to);
  texts.push({ text, left: at - half, right: at + half, top: to - 7, bottom: to + 7 });
}

// Whether text of this width at (x, y) would touch other text.
const touches = ({ left, right, top, bottom }, x, y, width) =>
  x + width / 2 + 6 > left && x - width / 2 - 6 < right && y + 8 > top && y - 8 < bottom;

export function drawAxes(context, projection, canvas, texts) {
  context.font = FONT;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 1;
  (flat ? drawFlatAxes : drawBox)(context, projection, canvas, texts);
}

// Draw the three sides of the box behind the points, and labels on free edges in front.
function drawBox(context, projection, canvas, texts) {
  const { axes } = projection;
  const ends = axes.map(({ range }) => range);
  const front = [0, 1, 2].map((i) => Number(projection.directions.toward[i] > 0)); // which end is towards the eye
  const at = (choice) =>
    project(
      projection,
      choice.map((value, i) => (value === null ? middleOf(ends[i]) : value)),
    );
  const corner = (choice) =>
    project(
      projection,
      choice.map((end, i) => ends[i][end]),
    );
  const center = at([null, null, null]);

  const labeledEdges = [0, 1, 2].map((i) => {
    const fixed = labelEdge(projection, i, front, corner);
    const from = corner(fixed.map((end, k) => (k === i ? 0 : end)));
    const to = corner(fixed.map((end, k) => (k === i ? 1 : end)));
    const pixels = Math.hypot(to[0] - from[0], to[1] - from[1]);
    return { i, fixed, from, to, pixels, list: ticks(ends[i], Math.min(6, Math.max(2, pixels / 46))) };
  });

  context.strokeStyle = themed("grid");
  for (const { i, list } of labeledEdges) {
    for (const wall of [0, 1, 2].filter((k) => k !== i)) {
      const other = 3 - i - wall;
      for (const value of [...list, ...ends[i]]) {
        const choice = [0, 0, 0];
        choice[i] = value;
        choice[wall] = ends[wall][1 - front[wall]];
        line(
          context,
          ...ends[other].map((end) =>
            project(
              projection,
              choice.map((v, k) => (k === other ? end : v)),
            ),
          ),
        );
      }
    }
  }

  context.fillStyle = themed("muted");
  context.strokeStyle = themed("muted");
  const edges = labeledEdges.map((edge) => ({ ...edge, out: outward(edge.from, edge.to, center) }));
  for (const edge of edges) {
    line(context, edge.from, edge.to);
    const places = edge.list.map((value) =>
      project(
        projection,
        edge.fixed.map((end, k) => (k === edge.i ? value : ends[k][end])),
      ),
    );
    if (edge.pixels >= MIN_EDGE) writeTicks(context, edge, places, canvas, texts);
  }
  context.fillStyle = themed("ink");
  for (const { i, from, to, pixels, out } of edges) {
    const { title } = axes[i];
    const place = pixels >= MIN_EDGE && freePlace(context.measureText(title).width, from, to, out, canvas, texts);
    if (place) write(context, title, ...place, canvas, texts);
  }
}

const MIN_EDGE = 24; // pixels of an edge with text

function writeTicks(context, { list, out }, places, canvas, texts) {
  list.forEach((value, k) => {
    const [x, y] = places[k];
    const text = tickText(value);
    const { width } = context.measureText(text);
    const reach = 9 + (Math.abs(out[0]) * width) / 2;
    const place = inView(x + out[0] * reach, y + out[1] * (reach + 2), width / 2, canvas);
    if (inCanvas(x, y, canvas) && !texts.some((other) => touches(other, ...place, width)))
      write(context, text, ...place, canvas, texts);
  });
}

const inCanvas = (x, y, { width, height }) => x > -20 && y > -20 && x < width + 20 && y < height + 20;

// Position of a title beside an edge without touching other text: at its center, or towards an end.
function freePlace(width, from, to, out, canvas, texts) {
  for (let away = 15 + (Math.abs(out[0]) * width) / 2; away < 110; away += 3) {
    for (const share of [0.5, 0.38, 0.62, 0.25, 0.75, 0.12, 0.88]) {
      const [x, y] = [0, 1].map((k) => from[k] + share * (to[k] - from[k]) + out[k] * away);
      const place = inView(x, y, width / 2, canvas);
      if (inCanvas(x, y, canvas) && !texts.some((text) => touches(text, ...place, width))) return place;
    }
  }
  return null;
}

// Which ends of the other two axes the labeled edge of axis i is at, so that it does not cover points.
function labelEdge(projection, i, front, corner) {
  const low = projection.directions.toward[2] >= 0 ? 0 : 1;
  if (i < 2) return [0, 1, 2].map((k) => (k === 2 ? low : front[k]));
  const sides = [
    [front[0], 1 - front[1], 0],
    [1 - front[0], front[1], 0],
  ];
  return corner(sides[0])[0] < corner(sides[1])[0] ? sides[0] : sides[1];
}

// The direction across an edge, away from the center of the box.
function outward(from, to, center) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const size = Math.hypot(dx, dy) || 1;
  const normal = [-dy / size, dx / size];
  const away = ((from[0] + to[0]) / 2 - center[0]) * normal[0] + ((from[1] + to[1]) / 2 - center[1]) * normal[1];
  return away < 0 ? [-normal[0], -normal[1]] : normal;
}

const LANE_TEXT = 110; // pixels for a class's name, at most

// Margins for the labels of a flat plot, in pixels.
export function flatFrame(context, { width }) {
  context.font = FONT;
  const widest = Math.max(0, ...facts.classes.map((name) => context.measureText(name).width));
  return {
    left: lanes ? 14 + Math.min(widest, LANE_TEXT, width / 3) : 54,
    right: 18,
    top: lanes ? 10 : 26,
    bottom: 44,
  };
}

function shorten(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let end = text.length - 1;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > room) end--;
  return `${text.slice(0, end)}…`;
}

function drawFlatAxes(context, projection, canvas, texts) {
  const { frame, width, height } = canvas;
  const [left, right, bottom, top] = projection.view;
  const [low, high] = [height - frame.bottom, frame.top];
  const muted = themed("muted");
  context.strokeStyle = themed("grid");
  context.fillStyle = muted;
  for (const value of ticks([left, right], (width - frame.left - frame.right) / 80)) {
    const [x] = project(projection, [value, 0]);
    line(context, [x, low], [x, high]);
    write(context, tickText(value), x, low + 13, canvas, texts);
  }
  const rows = lanes
    ? facts.classes.map((name, label) => [label, shorten(context, name, frame.left - 10)])
    : ticks([bottom, top], (low - high) / 60).map((value) => [value, tickText(value)]);
  context.textAlign = "right";
  let previous = Infinity;
  for (const [value, text] of rows) {
    const [, y] = project(projection, [left, value]);
    if (y < high - 1 || y > low + 1) continue;
    line(context, [frame.left, y], [width - frame.right, y]);
    if (previous - y < 14) continue;
    context.fillText(text, frame.left - 6, y);
    texts.push({
      text,
      left: frame.left - 6 - context.measureText(text).width,
      right: frame.left - 6,
      top: y - 7,
      bottom: y + 7,
    });
    previous = y;
  }
  context.textAlign = "center";
  context.strokeStyle = muted;
  line(context, [frame.left, low], [width - frame.right, low]);
  line(context, [frame.left, low], [frame.left, high]);
  context.fillStyle = themed("ink");
  write(context, projection.axes[0].title, (frame.left + width - frame.right) / 2, low + 32, canvas, texts);
  if (lanes) return;
  context.textAlign = "left";
  const { title } = projection.axes[1];
  context.fillText(title, 6, 10);
  texts.push({ text: title, left: 6, right: 6 + context.measureText(title).width, top: 3, bottom: 17 });
  context.textAlign = "center";
}
