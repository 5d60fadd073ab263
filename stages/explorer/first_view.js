// The first view of three axes, chosen so that the points fill the canvas: its direction, the proportions of the axes'
// box, its scale and its position.

import { data } from "./data.js";
import { count, last } from "./facts.js";
import { placesOf } from "./latent_axes.js";
import { lengthOf, MARGIN, middleOf } from "./ranges.js";
import { state } from "./state.js";

export const NEARNESS = 0.35; // 1 / the distance of the eye from the center of a box of side 1
// Slightly beside an axis: depth is visible, and the points fill more of the view than from a corner.
const AZIMUTHS = [0, 1, 2, 3].flatMap((quarter) => [-0.35, 0.35].map((turn) => (quarter * Math.PI) / 2 + turn));
const ELEVATIONS = [0.2, 0.35, 0.5]; // radians
const DEPTH = 0.5; // length of the side along the view, relative to the side across
const HEIGHTS = [0.3, 0.36, 0.43, 0.51, 0.61, 0.72, 0.86, 1.03, 1.23]; // heights to try, relative to the side across
const USUAL = { width: 900, height: 500 }; // the canvas for which the direction is chosen, so that it is the same on every canvas
const FILLED = 0.6; // share of the canvas that the points' bounding box shall fill
const MAX_GROWN = 1.35; // size of the axes' box relative to the largest that is completely visible; its front corner may be cut off
const WHOLE = { left: 40, right: 40, top: 10, bottom: 44 }; // pixels around the box
const MARKER = { left: 14, right: 14, top: 14, bottom: 44 }; // pixels around the points, with space for ticks and a title below

export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

export function directions(azimuth, elevation) {
  const [sa, ca, se, ce] = [Math.sin(azimuth), Math.cos(azimuth), Math.sin(elevation), Math.cos(elevation)];
  return { right: [-sa, ca, 0], up: [-se * ca, -se * sa, ce], toward: [ce * ca, ce * sa, se] };
}

const CORNERS = Float32Array.from({ length: 24 }, (_, i) => ((1 << (i % 3)) & Math.floor(i / 3) ? 0.5 : -0.5));

// Ranges on the screen, {across, along}, of places in a box of side 1, [number * 3]; y points upwards.
function outline(places, { azimuth, elevation, sides }) {
  const rows = Object.values(directions(azimuth, elevation)).map((row) => row.map((value, i) => value * sides[i]));
  const [across, along] = [0, 1].map(() => [Infinity, -Infinity]);
  for (let i = 0; i < places.length; i += 3) {
    const [x, y, near] = rows.map((row) => row[0] * places[i] + row[1] * places[i + 1] + row[2] * places[i + 2]);
    const size = 1 / (1 - NEARNESS * near);
    for (const [range, value] of [
      [across, x * size],
      [along, y * size],
    ]) {
      range[0] = Math.min(range[0], value);
      range[1] = Math.max(range[1], value);
    }
  }
  return { across, along };
}

const inner = ({ width, height }, { left, right, top, bottom }) => [width - left - right, height - top - bottom];

// The largest scale at which an outline fits the canvas.
function fitting({ across, along }, canvas, margins) {
  const room = inner(canvas, margins);
  return Math.min(room[0] / lengthOf(across), room[1] / lengthOf(along));
}

// The scale of a view, and its rating: the share of the canvas that the points fill at this scale and with the whole box in view.
function rated(view, places, canvas) {
  const [box, points] = [outline(CORNERS, view), outline(places, view)];
  const area = (lengthOf(points.across) * lengthOf(points.along)) / (canvas.width * canvas.height);
  const whole = fitting(box, canvas, WHOLE);
  const grown = Math.max(whole, Math.min(Math.sqrt(FILLED / area), MAX_GROWN * whole));
  const scale = Math.max(20, Math.min(grown, fitting(points, canvas, MARKER)));
  return { box, points, scale, rating: area * (scale ** 2 + whole ** 2) };
}

const fullest = (views, places, canvas) => {
  const ratings = views.map((view) => rated(view, places, canvas).rating);
  return views[ratings.indexOf(Math.max(...ratings))];
};

// The outermost places in a hundred directions; the others hardly affect an outline.
function furthest(places) {
  const found = new Set();
  for (let k = 0; k < 100; k++) {
    const height = 1 - (2 * k + 1) / 100;
    const [turn, flat] = [k * 2.399963, Math.sqrt(1 - height * height)]; // a Fibonacci sphere
    const [a, b, c] = [flat * Math.cos(turn), flat * Math.sin(turn), height];
    let [most, at] = [-Infinity, 0];
    for (let i = 0; i < places.length; i += 3) {
      const value = a * places[i] + b * places[i + 1] + c * places[i + 2];
      if (value > most) [most, at] = [value, i];
    }
    found.add(at);
  }
  return Float32Array.from([...found].flatMap((at) => [...places.subarray(at, at + 3)]));
}

// Lengths of the box's sides: in true proportions with the longest 1, or so that they fill the canvas.
function sidesFor(axes, azimuth, height) {
  if (!state.proportions) return Math.abs(Math.cos(azimuth)) > 0.7 ? [DEPTH, 1, height] : [1, DEPTH, height];
  const spans = axes.map(({ range }) => lengthOf(range) / (1 + 2 * MARGIN));
  return spans.map((span) => Math.max(span / Math.max(...spans), 0.01));
}

const heightsFor = () => (state.proportions ? [1] : HEIGHTS);

let direction = { of: [] };

// The part of the view that doesn't depend on the canvas: the last epoch's points in a box of side 1, and the direction.
function findDirection(axes) {
  const of = [...axes, state.proportions];
  if (of.every((value, i) => value === direction.of[i])) return direction;
  const places = placesOf(data.snapshots[last].latents, count).map(
    (value, i) => (value - middleOf(axes[i % 3].range)) / lengthOf(axes[i % 3].range),
  );
  const few = furthest(places);
  const views = AZIMUTHS.flatMap((azimuth) =>
    ELEVATIONS.flatMap((elevation) =>
      heightsFor().map((height) => ({ azimuth, elevation, sides: sidesFor(axes, azimuth, height) })),
    ),
  );
  const { azimuth, elevation } = fullest(views, few, USUAL);
  direction = { of, places, few, azimuth, elevation };
  return direction;
}

// Position of the center: one outline (outer) is centered as far as the other (held) stays within the margins.
function placedAt(size, [before, after], outer, held) {
  const wanted = (size + before - after) / 2 - middleOf(outer);
  return Math.min(Math.max(wanted, before - held[0]), size - after - held[1]);
}

let firstKnown = { of: [] };

// {azimuth, elevation, sides, scale, x, y}: the direction, pixels per unit, and the center of the box on the canvas.
export function firstView(axes, canvas) {
  const { width, height } = canvas;
  const of = [...axes, width, height, state.proportions];
  if (of.every((value, i) => value === firstKnown.of[i])) return firstKnown;
  const { places, few, azimuth, elevation } = findDirection(axes);
  const views = heightsFor().map((side) => ({ azimuth, elevation, sides: sidesFor(axes, azimuth, side) }));
  const view = fullest(views, few, canvas);
  const { box, points, scale } = rated(view, places, canvas);
  const scaled = ([low, high], sign) => (sign > 0 ? [scale * low, scale * high] : [-scale * high, -scale * low]);
  const { left, right, top, bottom } = MARKER;
  firstKnown = {
    ...view,
    of,
    scale,
    x: placedAt(width, [left, right], scaled(box.across, 1), scaled(points.across, 1)),
    y: placedAt(height, [top, bottom], scaled(box.along, -1), scaled(points.along, -1)),
  };
  return firstKnown;
}
