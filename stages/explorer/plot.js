// The plot: the points among their axes, and what the rest of the page marks among them.
//
// Two canvases: the points with their axes, drawn again when these change, and over them what moves more often (the
// chosen point and its neighbors, the line of the interpolation, the cursor). What is asked for is drawn once, in the
// next frame. For the page's other parts:
//
//   plot.redraw(part)            draw again in the next frame: "points" (all of it), or "marks" (what lies on top)
//   plot.screenOf(point)         [x, y] of a point in the window's pixels; null where it isn't shown
//   plot.pointAt(x, y, reach)    the shown point at a place of the window (the foremost one that covers it, else the
//                                nearest within `reach` pixels), or null
//   plot.pointsIn(polygon)       the shown points within a polygon of window places [[x, y], …], for a box or a lasso
//   plot.color(colorOf)          color points by colorOf(point), a CSS color (few different ones: each has a sprite),
//                                in the place of their class's; null: by class. Call it again where its answers change.
//   plot.thumbnails(draw)        draw(context, points) over the markers, points from back to front; null: markers alone
//   plot.layers                  functions (context, projection) that draw over all else; in canvas pixels, project(projection, place)
//   plot.placeOf(point), plot.placeOfLatent(latent)   where it stands on the axes shown, [x, y, z]
//   plot.drag                    null, or a function (kind, x, y) that gets a drag of the main button or one finger, in
//                                window pixels, in the place of turning: kind is start, move, end or cancel
//   plot.copyTo(context, pixels)  draw it into another canvas, at so many pixels for a CSS pixel
//   plot.frameAt(from, to, share)  put the points between two epochs; the epoch on show is next to be set
//   plot.setCloud(cloud)         {latents: Float32Array [number * size], labels: array [number] or null}: dots behind the
//                                points; null: none. plot.cloudAt(x, y, reach) finds one, and plot.cloudHovered(i, x, y)
//                                and plot.cloudPressed(i, x, y), where set, are told of it (null: none there)

import { drawAxes, flatFrame } from "./axes.js";
import { ratio, withRatio } from "./canvas.js";
import { colorOf, symbolOf } from "./classes.js";
import { data } from "./data.js";
import { element, make } from "./dom.js";
import { count, facts, size } from "./facts.js";
import { flat, laneAxis, placesOf, shownAxes } from "./latent_axes.js";
import { calm } from "./players.js";
import { flatProjection, project, projectAll, turntable } from "./projection.js";
import { dotColor, drawShape, markerSize, paintDots, paintMarkers, Sprites, sortByDepth } from "./sprites.js";
import { state, watch } from "./state.js";
import { themed } from "./theme.js";
import { isShown } from "./visible.js";

export const plotBox = element("plot");
const layers = ["points", "marks"].map(() => make("canvas"));
const [pointsContext, marksContext] = layers.map((canvas) => canvas.getContext("2d", { willReadFrequently: true }));
export const plotSize = { width: 0, height: 0, frame: null };
let positions = []; // by epoch, as they are asked for: Float32Array [count * 3]
let shown = null; // the positions drawn now, which move from one epoch's to the next
const screenPlaces = columnsOf(count); // of the points, in the pixels of the canvas
export const styles = { of: new Uint16Array(count), list: [] };
let sprites = null;
let cloud = null;
let texts = []; // what the axes say, and where
let colorOfPoint = null;
let thumbnailsHook = null;

function columnsOf(number) {
  const column = () => new Float32Array(number);
  return {
    x: column(),
    y: column(),
    depth: column(),
    order: new Uint32Array(number),
    shown: new Uint8Array(number),
    number: 0,
  };
}

export const plot = {
  layers: [],
  drag: null,
  cloudHovered: null,
  cloudPressed: null,
  redraw: (part = "points") => redraw(part),
  resize,
  drawNow: () => plotSize.width && drawPlot(),
  drawn,
  color(colorOf) {
    colorOfPoint = colorOf;
    restyle();
  },
  thumbnails(draw) {
    thumbnailsHook = draw;
    redraw("points");
  },
  placeOf: (point) => Array.from(shown.subarray(3 * point, 3 * point + 3)),
  placeOfLatent: (latent) => Array.from(placesOf(latent, 1, () => laneAxis.range[0])), // below the lanes
  projection: projectionNow,
  screenOf(point) {
    if (!isShown(point)) return null;
    const { left, top } = plotBox.getBoundingClientRect();
    const [x, y] = project(plot.projection(), plot.placeOf(point));
    return [left + x, top + y];
  },
  pixelOf: (point) => pixel(screenPlaces, point),
  pointAt,
  pointsIn,
  setCloud,
  cloudAt: (x, y, reach) => (cloud ? nearest(cloud.screen, cloud.number, x, y, reach, () => true) : null),
  texts: () => texts,
  copyTo,
  frameAt,
  number: () => screenPlaces.number, // of the points drawn
};

let known = { of: [] };

// The projection for what is shown now, the same object until something changes it.
function projectionNow() {
  const of = [state.view, state.axes, state.proportions, shown, cloud, plotSize.width, plotSize.height];
  if (of.some((value, i) => value !== known.of[i]))
    known = {
      ...(flat ? flatProjection : turntable)(shownAxes(), plotSize, [shown]),
      of,
    };
  return known;
}

export const labelOf = (point) => facts.labels[point] ?? 0;
const positionsOf = (epoch) => (positions[epoch] ??= placesOf(data.snapshots[epoch].latents, count, labelOf));

function setCloud(next) {
  cloud = next && { ...next, number: next.latents.length / size, styles: null };
  if (cloud) cloud.screen = columnsOf(cloud.number);
  placeCloud();
  redraw("points");
}

function placeCloud() {
  if (cloud) cloud.places = placesOf(cloud.latents, cloud.number, (i) => cloud.labels?.[i] ?? 0);
}

// Number the pairs of color and shape, and assign them to the points.
function findStyles(colorOf) {
  const known = new Map();
  const list = [];
  const outline = themed("surface");
  for (let point = 0; point < count; point++) {
    const [color, shape] = [colorOf(point), symbolOf(labelOf(point))];
    const key = `${color} ${shape}`;
    if (!known.has(key)) known.set(key, list.push({ color, shape, outline }) - 1);
    styles.of[point] = known.get(key);
  }
  styles.list = list;
}

function restyle() {
  findStyles(colorOfPoint ?? ((point) => colorOf(labelOf(point))));
  sprites = null;
  if (cloud) cloud.styles = null;
  redraw("points");
}

const PAPER = { width: 680, height: 440 }; // CSS pixels: the layout of a page is not known before it is printed

function resize() {
  const { clientWidth, clientHeight } = plotBox;
  Object.assign(plotSize, state.printing ? PAPER : { width: clientWidth, height: clientHeight });
  plotSize.frame = flat ? flatFrame(pointsContext, plotSize) : null;
  for (const canvas of layers) {
    canvas.width = Math.round(plotSize.width * ratio());
    canvas.height = Math.round(plotSize.height * ratio());
  }
  redraw("points");
}

function drawPoints() {
  const { width, height } = plotSize;
  const view = plot.projection();
  const context = pointsContext;
  const fine = fineProjection(view); // markers know no transform
  projectAll(fine, shown, count, screenPlaces);
  for (let point = 0; point < count; point++) screenPlaces.shown[point] = isShown(point);
  screenPlaces.number = sortByDepth(screenPlaces.depth, count, screenPlaces.shown, screenPlaces.order);
  context.setTransform(ratio(), 0, 0, ratio(), 0, 0);
  context.fillStyle = themed("surface");
  context.fillRect(0, 0, width, height);
  texts = [];
  const vectors = state.printing && screenPlaces.number <= MAX_VECTORS;
  if (!vectors || !cloud) drawAxes(context, view, plotSize, texts);
  if (cloud || !vectors) drawRaster(context, fine, !vectors);
  if (vectors && cloud) drawAxes(context, view, plotSize, texts);
  if (vectors) drawVectors(context);
  thumbnailsHook?.(context, screenPlaces.order.subarray(0, screenPlaces.number));
}

// Draw the cloud, and markers as sprites, into the pixels of a canvas.
function drawRaster(context, fine, withMarkers) {
  const { width: columns, height: rows } = context.canvas;
  if (!columns || !rows) return;
  const image = context.getImageData(0, 0, columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  if (cloud) drawCloud(pixels, columns, rows, fine);
  if (withMarkers) {
    const { size: side, alpha } = markerSize(screenPlaces.number, plotSize.width);
    const grain = Math.round(side * ratio() * 4) / 4;
    if (!sprites || sprites.size !== grain || sprites.alpha !== alpha) sprites = new Sprites(styles.list, grain, alpha);
    paintMarkers(pixels, columns, rows, { ...screenPlaces, styles: styles.of, sprites });
  }
  if (state.printing) printPixels(context, image);
  else context.putImageData(image, 0, 0);
}

// A PDF of Chromium 150 lacks all that was drawn before putImageData, and its pixels; it has what drawImage drew.
function printPixels(context, image) {
  const copy = make("canvas");
  Object.assign(copy, { width: image.width, height: image.height });
  copy.getContext("2d").putImageData(image, 0, 0);
  context.drawImage(copy, 0, 0, plotSize.width, plotSize.height);
}

const MAX_VECTORS = 2000; // markers, which make 0.5 MB of a PDF; more are printed as pixels

// Markers as shapes, sharp on paper.
function drawVectors(context) {
  const { size: side, alpha } = markerSize(screenPlaces.number, plotSize.width);
  context.globalAlpha = alpha;
  for (const point of screenPlaces.order.subarray(0, screenPlaces.number)) {
    const { color, shape, outline } = styles.list[styles.of[point]];
    Object.assign(context, { fillStyle: color, strokeStyle: outline, lineWidth: 1 });
    drawShape(context, shape, ...pixel(screenPlaces, point), side);
  }
  context.globalAlpha = 1;
}

const fineProjection = (projection) => ({
  ...projection,
  x: projection.x * ratio(),
  y: projection.y * ratio(),
  scale: projection.scale * ratio(),
});
const pixel = ({ x, y }, i) => [x[i] / ratio(), y[i] / ratio()];

function drawCloud(pixels, width, height, projection) {
  projectAll(projection, cloud.places, cloud.number, cloud.screen);
  if (!cloud.styles) {
    const labels = cloud.labels ?? new Uint8Array(cloud.number);
    cloud.styles = labels;
    cloud.colors = Array.from({ length: Math.max(1, facts.classes.length) }, (_, label) =>
      dotColor(colorOf(label), 0.45),
    );
  }
  paintDots(pixels, width, height, {
    ...cloud.screen,
    number: cloud.number,
    styles: cloud.styles,
    colors: cloud.colors,
    side: Math.round(1.5 * ratio()),
  });
}

// Draw all changes together in the next frame.
let stale = null;

let painted = Promise.resolve();

function redraw(part) {
  if (stale) {
    if (part === "points") stale = part;
    return;
  }
  stale = part;
  painted = new Promise(requestAnimationFrame).then(() => {
    const all = stale === "points";
    stale = null;
    if (plotSize.width) drawPlot(all);
  });
}

function drawPlot(all = true) {
  if (all) drawPoints();
  const context = state.printing ? pointsContext : marksContext; // of two canvases, a PDF shows the upper one alone
  context.setTransform(ratio(), 0, 0, ratio(), 0, 0);
  if (!state.printing) context.clearRect(0, 0, plotSize.width, plotSize.height);
  for (const draw of plot.layers) draw(context, plot.projection());
}

// Draw the plot into another canvas at (0, 0), at a given number of pixels per CSS pixel.
function copyTo(context, pixels) {
  const before = ratio();
  withRatio(pixels, () => {
    resize();
    drawPlot();
    for (const canvas of layers) context.drawImage(canvas, 0, 0);
  });
  if (pixels !== before) {
    resize();
    drawPlot();
  }
}

// Place the points between their positions in two epochs.
function frameAt(from, to, share) {
  const [start, end] = [positionsOf(from), positionsOf(to)];
  shown = start.map((value, i) => value + share * (end[i] - value));
}

// Wait until everything is drawn.
async function drawn() {
  while (stale || moving) await (stale ? painted : new Promise(requestAnimationFrame));
}

const MOVE_MS = 450;
let moves = 0;
let moving = false;

// Move the points smoothly to their positions in the epoch.
async function moveToEpoch() {
  const move = ++moves;
  const start = shown;
  const end = positionsOf(state.epoch);
  const begin = performance.now();
  moving = true;
  while (!calm.matches && start !== end) {
    const time = (performance.now() - begin) / MOVE_MS;
    if (time >= 1) break;
    const eased = time * time * (3 - 2 * time);
    shown = start.map((value, i) => value + eased * (end[i] - value));
    redraw("points");
    await new Promise(requestAnimationFrame);
    if (move !== moves) return; // a later one has taken over
  }
  shown = end;
  moving = false;
  redraw("points");
}

// Points at a position of the window.

function nearest({ x, y }, number, clientX, clientY, reach, wanted) {
  const { left, top } = plotBox.getBoundingClientRect();
  const [px, py] = [(clientX - left) * ratio(), (clientY - top) * ratio()];
  let least = (reach * ratio()) ** 2;
  let found = null;
  for (let i = 0; i < number; i++) {
    const distance = (x[i] - px) ** 2 + (y[i] - py) ** 2;
    if (distance <= least && wanted(i)) [least, found] = [distance, i];
  }
  return found;
}

function pointAt(clientX, clientY, reach) {
  projectAll(fineProjection(plot.projection()), shown, count, screenPlaces); // a press may come before the frame that draws its move
  const { left, top } = plotBox.getBoundingClientRect();
  const [px, py] = [(clientX - left) * ratio(), (clientY - top) * ratio()];
  const radius = (markerSize(screenPlaces.number, plotSize.width).size / 2) * ratio();
  let found = null;
  for (let i = 0; i < count; i++) {
    if ((screenPlaces.x[i] - px) ** 2 + (screenPlaces.y[i] - py) ** 2 > radius ** 2 || !isShown(i)) continue;
    if (found === null || screenPlaces.depth[i] >= screenPlaces.depth[found]) found = i;
  }
  return found ?? nearest(screenPlaces, count, clientX, clientY, reach, isShown);
}

// By the even-odd rule.
function pointsIn(polygon) {
  projectAll(fineProjection(plot.projection()), shown, count, screenPlaces);
  const { left, top } = plotBox.getBoundingClientRect();
  const corners = polygon.map(([x, y]) => [(x - left) * ratio(), (y - top) * ratio()]);
  const within = (x, y) => {
    let inside = false;
    corners.forEach(([x1, y1], i) => {
      const [x2, y2] = corners[(i + 1) % corners.length];
      if (y1 > y !== y2 > y && x < x1 + ((y - y1) / (y2 - y1)) * (x2 - x1)) inside = !inside;
    });
    return inside;
  };
  return facts.indices.flatMap((_, i) => (isShown(i) && within(screenPlaces.x[i], screenPlaces.y[i]) ? [i] : []));
}

function plotHint() {
  const finger = matchMedia("(pointer: coarse)").matches;
  const how = finger ? "two fingers zoom and move, a tap chooses" : "scroll zooms, a click chooses";
  return `${flat ? "drag moves" : "drag turns"}, ${how}`;
}

function changeAxes() {
  positions = [];
  shown = positionsOf(state.epoch);
  placeCloud();
  redraw("points");
}

export function buildPlot() {
  plotBox.replaceChildren(...layers);
  shown = positionsOf(state.epoch);
  plotBox.setAttribute(
    "aria-label",
    `Plot of ${count} latents. Arrow keys ${flat ? "move" : "turn"} it, plus and minus zoom.`,
  );
  element("plot-hint").textContent = plotHint();
  new ResizeObserver(() => state.printing || resize()).observe(plotBox);
  watch(["theme"], restyle);
  watch(["epoch"], moveToEpoch);
  watch(["axes"], changeAxes);
  watch(["hidden", "view", "proportions", "selected", "isolated"], () => redraw("points"));
  watch(["point", "latent", "from", "to", "line"], () => redraw("marks"));
  resize();
  restyle();
}
