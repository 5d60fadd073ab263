// From latents to the screen: the axes that are shown, and the lens through which they are seen.
//
// An axis is a direction in the latent space: {name, title, weights [size], shift, range}; a latent's place on it is
// weights · latent + shift. A lens takes places to pixels, for three axes (a turntable) as for two and one (flat).

const dimensions = Math.min(3, size); // of the plot
const flat = dimensions < 3;
const lanes = dimensions === 1; // one latent dimension leaves the other axis to the classes
const FIRST = { azimuth: 0.9, elevation: 0.36 }; // radians
const NEARNESS = 0.35; // 1 / the eye's distance from the middle of a box of side 1, or of a larger one that is seen whole
const CLOSEST = 0.1; // of that distance: what is nearer yet is drawn as if it were there
const STEEPEST = 1.55;
const ZOOMS = [0.25, 200];
const LABELS = { across: 42, above: 10, below: 36 }; // pixels round the box
const MARGIN = 0.03; // of an axis, on both sides of its points

const axisNames = [...(facts.projection ? ["pc1", "pc2", "pc3"] : []), ...facts.sliders.map((_, i) => `z${i + 1}`)];
const firstAxes = axisNames.slice(0, dimensions);

const widened = ([low, high]) => {
  const margin = high > low ? (high - low) * MARGIN : 0.5;
  return [low - margin, high + margin];
};

function extent(values, start = 0, step = 1) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = start; i < values.length; i += step) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) high = values[i];
  }
  return [low, high];
}

const knownAxes = new Map();

// The ranges are those of the last epoch's points and of no other, so that the axes stand still while the training plays.
function axisOf(name) {
  if (!knownAxes.has(name)) {
    const axis = name.startsWith("pc") ? component(name) : latentAxis(name);
    const { latents } = data.snapshots[last];
    knownAxes.set(name, { ...axis, name, range: widened(extent(columnOf(axis, latents, count))) });
  }
  return knownAxes.get(name);
}

function component(name) {
  const i = Number(name.slice(2)) - 1;
  const weights = facts.projection.components[i];
  return { title: facts.componentTitles[i], weights, shift: -weights.reduce((sum, weight, k) => sum + weight * facts.projection.mean[k], 0) };
}

function latentAxis(name) {
  const dimension = Number(name.slice(1)) - 1;
  return { title: name, weights: facts.sliders.map((_, i) => Number(i === dimension)), shift: 0, dimension };
}

// Where `number` latents are along an axis: Float32Array [number].
function columnOf({ weights, shift, dimension }, latents, number) {
  const column = new Float32Array(number);
  for (let i = 0; i < number; i++) {
    let sum = shift;
    if (dimension !== undefined) sum = latents[i * size + dimension];
    else for (let k = 0; k < size; k++) sum += weights[k] * latents[i * size + k];
    column[i] = sum;
  }
  return column;
}

const laneAxis = { name: "lanes", title: "", range: [-0.5, Math.max(1, facts.classes.length) - 0.5] };
const shownAxes = () => [...(state.axes ?? firstAxes).map(axisOf), ...(lanes ? [laneAxis] : [])];

// Where `number` latents stand on the axes: Float32Array [number * 3].
function placesOf(latents, number, labelAt) {
  const places = new Float32Array(number * 3);
  (state.axes ?? firstAxes).map(axisOf).forEach((axis, k) => {
    columnOf(axis, latents, number).forEach((value, i) => (places[3 * i + k] = value));
  });
  if (lanes) for (let i = 0; i < number; i++) places[3 * i + 1] = labelAt(i);
  return places;
}

const length = ([low, high]) => high - low;
const middle = ([low, high]) => (low + high) / 2;

// How long the sides of the box are drawn: all alike, or in the axes' true proportions.
function sidesOf(axes) {
  if (!state.proportions) return axes.map(() => 1);
  const spans = axes.map(({ range }) => length(range) / (1 + 2 * MARGIN));
  return spans.map((span) => Math.max(span / Math.max(...spans), 0.01));
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

function directions(azimuth, elevation) {
  const [sa, ca, se, ce] = [Math.sin(azimuth), Math.cos(azimuth), Math.sin(elevation), Math.cos(elevation)];
  return { right: [-sa, ca, 0], up: [-se * ca, -se * sa, ce], toward: [ce * ca, ce * sa, se] };
}

// Pixels a unit, and how far down the middle goes, so that the box fits from wherever it is looked at at this
// elevation: turning it doesn't push it out.
function fitted(sides, width, height, elevation) {
  let [across, low, high] = [0, 0, 0];
  const nearness = NEARNESS / Math.max(1, ...sides);
  for (let azimuth = 0; azimuth < Math.PI; azimuth += Math.PI / 12) {
    const { right, up, toward } = directions(azimuth, elevation);
    for (let corner = 0; corner < 8; corner++) {
      const place = sides.map((side, i) => (corner & (1 << i) ? side : -side) / 2);
      const near = 1 / (1 - nearness * dot(toward, place));
      across = Math.max(across, Math.abs(dot(right, place)) * near);
      low = Math.min(low, dot(up, place) * near);
      high = Math.max(high, dot(up, place) * near);
    }
  }
  const scale = Math.max(20, Math.min((width / 2 - LABELS.across) / across, (height - LABELS.above - LABELS.below) / (high - low)));
  return { scale, down: (LABELS.above - LABELS.below + (high + low) * scale) / 2 };
}

// The axes' ranges, widened to hold all that is drawn now: earlier epochs may have the points elsewhere.
const reach = (axes) =>
  axes.map(({ range }, i) => {
    const ends = [shown, ...(cloud ? [cloud.places] : [])].map((places) => widened(extent(places, i, 3)));
    return extent([...range, ...ends.flat()]);
  });

// The view in three dimensions: azimuth, elevation, zoom, and its middle, in the box, whose longest side is 1. At first
// it holds the box and all points.
function boxView(axes, { width, height }) {
  if (state.view) return state.view;
  const sides = sidesOf(axes);
  const held = reach(axes);
  const heldSides = held.map((range, i) => (sides[i] * length(range)) / length(axes[i].range));
  const scale = (each) => fitted(each, width, height, FIRST.elevation).scale;
  const center = held.map((range, i) => ((middle(range) - middle(axes[i].range)) * sides[i]) / length(axes[i].range));
  return [FIRST.azimuth, FIRST.elevation, scale(heldSides) / scale(sides), ...center];
}

// Who zooms out steps back; who zooms in looks through a longer lens, so that points never end up behind the eye.
const nearnessAt = (zoom) => NEARNESS * Math.min(1, zoom);

// {right, up, toward}: [weight, weight, weight, constant] on places; x and y of the middle; scale in pixels.
function turntable(axes, { width, height }) {
  const view = boxView(axes, { width, height });
  const [azimuth, elevation, zoom, ...center] = view;
  const sides = sidesOf(axes);
  const stretch = axes.map(({ range }, i) => sides[i] / length(range));
  const row = (direction) => {
    const weights = direction.map((value, i) => value * stretch[i]);
    const constant = -weights.reduce((sum, weight, i) => sum + weight * middle(axes[i].range), 0) - dot(direction, center);
    return [...weights, constant];
  };
  const { right, up, toward } = directions(azimuth, elevation);
  const { scale, down } = fitted(sides, width, height, FIRST.elevation);
  return {
    axes,
    view,
    directions: { right, up, toward },
    stretch,
    right: row(right),
    up: row(up),
    toward: row(toward),
    scale: zoom * scale,
    nearness: nearnessAt(zoom),
    x: width / 2,
    y: height / 2 + down,
  };
}

// The same of a flat plot, whose view is [left, right, bottom, top].
function flatLens(axes, { width, height, frame }) {
  const [left, right, bottom, top] = state.view ?? flatFirst(axes, width, height, frame);
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

function flatFirst(axes, width, height, frame) {
  const ranges = reach(axes);
  if (state.proportions && !lanes) {
    const room = [width - frame.left - frame.right, height - frame.top - frame.bottom];
    const units = Math.max(...ranges.map((range, i) => length(range) / room[i])); // a pixel
    ranges.forEach((range, i) => (ranges[i] = [middle(range) - (units * room[i]) / 2, middle(range) + (units * room[i]) / 2]));
  }
  return ranges.flat();
}

const along = (row, place) => row[0] * place[0] + row[1] * place[1] + row[2] * (place[2] ?? 0) + row[3];

// A place in pixels of the canvas, and its depth, which grows towards the eye.
function project(lens, place) {
  const depth = along(lens.toward, place);
  const scale = lens.scale / Math.max(CLOSEST, 1 - lens.nearness * depth);
  return [lens.x + scale * along(lens.right, place), lens.y - scale * along(lens.up, place), depth];
}

// The same for many: places [number * 3] to x, y and depth, [number] each.
function projectAll(lens, places, number, { x, y, depth }) {
  const { right: [r0, r1, r2, r3], up: [u0, u1, u2, u3], toward: [t0, t1, t2, t3], scale, nearness } = lens;
  for (let i = 0, k = 0; i < number; i++, k += 3) {
    const [a, b, c] = [places[k], places[k + 1], places[k + 2]];
    const near = t0 * a + t1 * b + t2 * c + t3;
    const size = scale / Math.max(CLOSEST, 1 - nearness * near);
    x[i] = lens.x + size * (r0 * a + r1 * b + r2 * c + r3);
    y[i] = lens.y - size * (u0 * a + u1 * b + u2 * c + u3);
    depth[i] = near;
  }
}

// Views that follow from one: turned, moved by pixels, zoomed so that a place stays where it is on the screen.

function turnedView(lens, azimuth, elevation) {
  const [east, north, ...rest] = lens.view;
  return [(east + azimuth) % (2 * Math.PI), Math.min(STEEPEST, Math.max(-STEEPEST, north + elevation)), ...rest];
}

function movedView(lens, dx, dy) {
  if (flat) {
    const [left, right, bottom, top] = lens.view;
    const [across, up] = [-dx / lens.right[0], dy / lens.up[1]];
    return [left + across, right + across, bottom + up, top + up];
  }
  const [azimuth, elevation, zoom, ...center] = lens.view;
  const { right, up } = lens.directions;
  const moved = center.map((value, i) => value + (-dx * right[i] + dy * up[i]) / lens.scale);
  return [azimuth, elevation, zoom, ...moved.map((value) => Math.min(1, Math.max(-1, value)))];
}

function zoomedView(lens, factor, place) {
  if (flat) {
    const [left, right, bottom, top] = lens.view;
    const about = (value, fixed) => fixed + (value - fixed) / factor;
    const [a, b] = place;
    return [about(left, a), about(right, a), about(bottom, b), about(top, b)];
  }
  const [azimuth, elevation, zoom, ...center] = lens.view;
  const wanted = Math.min(ZOOMS[1], Math.max(ZOOMS[0], zoom * factor));
  const grown = wanted / zoom;
  const { right, up, toward } = lens.directions;
  const at = place.map((value, i) => (value - middle(lens.axes[i].range)) * lens.stretch[i]);
  const offset = at.map((value, i) => value - center[i]);
  // The middle nears the place, which brings its depth nearer to 0; what that does to its pixels is taken back.
  const near = dot(toward, offset);
  const before = 1 / Math.max(CLOSEST, 1 - lens.nearness * near);
  const after = 1 / Math.max(CLOSEST, 1 - (nearnessAt(wanted) * near) / grown);
  const shift = 1 / grown - before / (grown * after);
  const moved = center.map((value, i) => {
    const inPlane = dot(right, offset) * right[i] + dot(up, offset) * up[i];
    return value + offset[i] * (1 - 1 / grown) + inPlane * shift;
  });
  return [azimuth, elevation, wanted, ...moved];
}

// The place under a pixel, as deep as `depth`.
function placeUnder(lens, x, y, depth = 0) {
  if (flat) return [(x - lens.x - lens.right[3]) / lens.right[0], (lens.y - y - lens.up[3]) / lens.up[1]];
  const [, , , ...center] = lens.view;
  const { right, up, toward } = lens.directions;
  const scale = lens.scale / Math.max(CLOSEST, 1 - lens.nearness * depth);
  const [across, high] = [(x - lens.x) / scale, (lens.y - y) / scale];
  return [0, 1, 2].map((i) => {
    const at = center[i] + across * right[i] + high * up[i] + depth * toward[i];
    return at / lens.stretch[i] + middle(lens.axes[i].range);
  });
}
