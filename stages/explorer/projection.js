// Projection from axis coordinates to pixels: a turntable for three axes, flat for one or two.

import { directions, dot, firstView, NEARNESS } from "./first_view.js";
import { flat, lanes } from "./latent_axes.js";
import { extent, lengthOf, middleOf, widened } from "./ranges.js";
import { state } from "./state.js";

const CLOSEST = 0.1; // of that distance: what is nearer yet is drawn as if it were there
const STEEPEST = 1.55;
const ZOOMS = [0.25, 200];

// Zooming out moves the camera back; zooming in uses a longer focal length, so that points never end up behind the camera.
const nearnessAt = (zoom) => NEARNESS * Math.min(1, zoom);

// {right, up, toward}: [weight, weight, weight, constant] on places; x and y of the middle; scale in pixels. The view is
// azimuth, elevation, zoom, and its middle, in the box, whose longer side across is 1.
function seen(axes, first, view) {
  const [azimuth, elevation, zoom, ...center] = view;
  const stretch = axes.map(({ range }, i) => first.sides[i] / lengthOf(range));
  const row = (direction) => {
    const weights = direction.map((value, i) => value * stretch[i]);
    const constant =
      -weights.reduce((sum, weight, i) => sum + weight * middleOf(axes[i].range), 0) - dot(direction, center);
    return [...weights, constant];
  };
  const { right, up, toward } = directions(azimuth, elevation);
  return {
    axes,
    view,
    directions: { right, up, toward },
    stretch,
    right: row(right),
    up: row(up),
    toward: row(toward),
    scale: zoom * first.scale,
    nearness: nearnessAt(zoom),
    x: first.x,
    y: first.y,
  };
}

const HELD = 14; // pixels between a point in view and the canvas's edge
const outside = ([low, high], most) => Math.min(0, low - HELD) + Math.max(0, high - most + HELD);

// The first view, moved and zoomed out where the places drawn now need it: earlier epochs may have the points elsewhere.
export function turntable(axes, canvas, [drawn]) {
  const first = firstView(axes, canvas);
  if (state.view) return seen(axes, first, state.view);
  const { azimuth, elevation } = first;
  const number = drawn.length / 3;
  const at = { x: new Float32Array(number), y: new Float32Array(number), depth: new Float32Array(number) };
  let [zoom, center] = [1, [0, 0, 0]];
  for (let round = 0; ; round++) {
    const projection = seen(axes, first, [azimuth, elevation, zoom, ...center]);
    projectAll(projection, drawn, number, at);
    const [across, along] = [extent(at.x), extent(at.y)];
    const [dx, dy] = [outside(across, canvas.width), outside(along, canvas.height)];
    if (round === 4 || (!dx && !dy)) return projection;
    const room = [canvas.width, canvas.height].map((side) => side - 2 * HELD);
    zoom *= Math.min(1, room[0] / lengthOf(across), room[1] / lengthOf(along));
    const { right, up } = projection.directions;
    center = center.map((value, i) => value + (dx * right[i] - dy * up[i]) / projection.scale);
  }
}

// The same of a flat plot, whose view is [left, right, bottom, top].
export function flatProjection(axes, { width, height, frame }, drawn) {
  const [left, right, bottom, top] = state.view ?? flatFirst(axes, drawn, width, height, frame);
  const across = (width - frame.left - frame.right) / (right - left);
  const along = (height - frame.top - frame.bottom) / (top - bottom);
  return {
    axes,
    right: [across, 0, 0, -across * left],
    up: [0, along, 0, -along * bottom],
    toward: [0, 0, 0, 0],
    scale: 1,
    nearness: 0,
    x: frame.left,
    y: height - frame.bottom,
    view: [left, right, bottom, top],
  };
}

// The axes' ranges, widened to hold all that is drawn: earlier epochs may have the points elsewhere.
const reach = (axes, drawn) =>
  axes.map(({ range }, i) => extent([...range, ...drawn.flatMap((places) => widened(extent(places, i, 3)))]));

function flatFirst(axes, drawn, width, height, frame) {
  const ranges = reach(axes, drawn);
  if (state.proportions && !lanes) {
    const room = [width - frame.left - frame.right, height - frame.top - frame.bottom];
    const units = Math.max(...ranges.map((range, i) => lengthOf(range) / room[i])); // a pixel
    ranges.forEach(
      (range, i) => (ranges[i] = [middleOf(range) - (units * room[i]) / 2, middleOf(range) + (units * room[i]) / 2]),
    );
  }
  return ranges.flat();
}

const along = (row, place) => row[0] * place[0] + row[1] * place[1] + row[2] * (place[2] ?? 0) + row[3];

// Canvas pixels of a place, and its depth, which increases towards the viewer.
export function project(projection, place) {
  const depth = along(projection.toward, place);
  const scale = projection.scale / Math.max(CLOSEST, 1 - projection.nearness * depth);
  return [
    projection.x + scale * along(projection.right, place),
    projection.y - scale * along(projection.up, place),
    depth,
  ];
}

// The same for many: places [number * 3] to x, y and depth, [number] each.
export function projectAll(projection, places, number, { x, y, depth }) {
  const {
    right: [r0, r1, r2, r3],
    up: [u0, u1, u2, u3],
    toward: [t0, t1, t2, t3],
    scale,
    nearness,
  } = projection;
  for (let i = 0, k = 0; i < number; i++, k += 3) {
    const [a, b, c] = [places[k], places[k + 1], places[k + 2]];
    const near = t0 * a + t1 * b + t2 * c + t3;
    const size = scale / Math.max(CLOSEST, 1 - nearness * near);
    x[i] = projection.x + size * (r0 * a + r1 * b + r2 * c + r3);
    y[i] = projection.y - size * (u0 * a + u1 * b + u2 * c + u3);
    depth[i] = near;
  }
}

// Views that follow from one: turned, moved by pixels, zoomed so that a place stays where it is on the screen.

export function turnedView(projection, azimuth, elevation) {
  const [east, north, ...rest] = projection.view;
  return [(east + azimuth) % (2 * Math.PI), Math.min(STEEPEST, Math.max(-STEEPEST, north + elevation)), ...rest];
}

export function movedView(projection, dx, dy) {
  if (flat) {
    const [left, right, bottom, top] = projection.view;
    const [across, up] = [-dx / projection.right[0], dy / projection.up[1]];
    return [left + across, right + across, bottom + up, top + up];
  }
  const [azimuth, elevation, zoom, ...center] = projection.view;
  const { right, up } = projection.directions;
  const moved = center.map((value, i) => value + (-dx * right[i] + dy * up[i]) / projection.scale);
  return [azimuth, elevation, zoom, ...moved.map((value) => Math.min(1, Math.max(-1, value)))];
}

export function zoomedView(projection, factor, place) {
  if (flat) {
    const [left, right, bottom, top] = projection.view;
    const about = (value, fixed) => fixed + (value - fixed) / factor;
    const [a, b] = place;
    return [about(left, a), about(right, a), about(bottom, b), about(top, b)];
  }
  const [azimuth, elevation, zoom, ...center] = projection.view;
  const wanted = Math.min(ZOOMS[1], Math.max(ZOOMS[0], zoom * factor));
  const grown = wanted / zoom;
  const { right, up, toward } = projection.directions;
  const at = place.map((value, i) => (value - middleOf(projection.axes[i].range)) * projection.stretch[i]);
  const offset = at.map((value, i) => value - center[i]);
  // The middle nears the place, which brings its depth nearer to 0; what that does to its pixels is taken back.
  const near = dot(toward, offset);
  const before = 1 / Math.max(CLOSEST, 1 - projection.nearness * near);
  const after = 1 / Math.max(CLOSEST, 1 - (nearnessAt(wanted) * near) / grown);
  const shift = 1 / grown - before / (grown * after);
  const moved = center.map((value, i) => {
    const inPlane = dot(right, offset) * right[i] + dot(up, offset) * up[i];
    return value + offset[i] * (1 - 1 / grown) + inPlane * shift;
  });
  return [azimuth, elevation, wanted, ...moved];
}

// The place under a pixel, as deep as `depth`.
export function placeUnder(projection, x, y, depth = 0) {
  if (flat)
    return [
      (x - projection.x - projection.right[3]) / projection.right[0],
      (projection.y - y - projection.up[3]) / projection.up[1],
    ];
  const [, , , ...center] = projection.view;
  const { right, up, toward } = projection.directions;
  const scale = projection.scale / Math.max(CLOSEST, 1 - projection.nearness * depth);
  const [across, high] = [(x - projection.x) / scale, (projection.y - y) / scale];
  return [0, 1, 2].map((i) => {
    const at = center[i] + across * right[i] + high * up[i] + depth * toward[i];
    return at / projection.stretch[i] + middleOf(projection.axes[i].range);
  });
}
