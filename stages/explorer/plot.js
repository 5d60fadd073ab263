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
//   plot.color(colorOf)          color points by colorOf(point), a CSS color (few different ones: each is stamped), in
//                                the place of their class's; null: by class. Call it again where its answers change.
//   plot.isolate(points)         show no other points than those of this Set; null: all
//   plot.thumbnails(draw)        draw(context, point, x, y) in canvas pixels in the place of each marker; null: markers
//   plot.layers                  functions (context, lens) that draw over all else; in canvas pixels, project(lens, place)
//   plot.placeOf(point), plot.placeOfLatent(latent)   where it stands on the axes shown, [x, y, z]
//   plot.drag                    null, or a function (kind, x, y) that gets a drag of the main button or one finger, in
//                                window pixels, in the place of turning: kind is start, move, end or cancel
//   plot.setCloud(cloud)         {latents: Float32Array [number * size], labels: array [number] or null}: dots behind the
//                                points; null: none. plot.cloudAt(x, y, reach) finds one, and plot.cloudHovered(i, x, y)
//                                and plot.cloudPressed(i, x, y), where set, are told of it (null: none there)

const plotBox = element("plot");
const layers = ["points", "marks"].map(() => make("canvas"));
const [pointsContext, marksContext] = layers.map((canvas) => canvas.getContext("2d", { willReadFrequently: true }));
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const plotSize = { width: 0, height: 0, frame: null };

let positions = []; // by epoch, as they are asked for: Float32Array [count * 3]
let shown = null; // the positions drawn now, which move from one epoch's to the next
const screen = columnsOf(count); // of the points, in the pixels of the canvas
let looks = { of: new Uint16Array(count), list: [] };
let stamps = null;
let cloud = null;
let texts = []; // what the axes say, and where
let colorOfPoint = null;
let isolated = null;
let drawThumbnail = null;

function columnsOf(number) {
  const column = () => new Float32Array(number);
  return { x: column(), y: column(), depth: column(), order: new Uint32Array(number), shown: new Uint8Array(number), number: 0 };
}

const plot = {
  layers: [],
  drag: null,
  cloudHovered: null,
  cloudPressed: null,
  redraw: (part = "points") => redraw(part),
  color(colorOf) {
    colorOfPoint = colorOf;
    lookAgain();
  },
  isolate(points) {
    isolated = points;
    redraw("points");
  },
  thumbnails(draw) {
    drawThumbnail = draw;
    redraw("points");
  },
  placeOf: (point) => Array.from(shown.subarray(3 * point, 3 * point + 3)),
  placeOfLatent: (latent) => Array.from(placesOf(latent, 1, () => laneAxis.range[0])), // below the lanes
  lens: lensNow,
  screenOf(point) {
    if (!isShown(point)) return null;
    const { left, top } = plotBox.getBoundingClientRect();
    const [x, y] = project(plot.lens(), plot.placeOf(point));
    return [left + x, top + y];
  },
  pointAt,
  pointsIn,
  setCloud,
  cloudAt: (x, y, reach) => (cloud ? nearest(cloud.screen, cloud.number, x, y, reach, () => true) : null),
  texts: () => texts,
};

let known = { of: [] };

// The lens for what is shown now, the same object until something changes it.
function lensNow() {
  const of = [state.view, state.axes, state.proportions, shown, cloud, plotSize.width, plotSize.height];
  if (of.some((value, i) => value !== known.of[i])) known = { ...(flat ? flatLens : turntable)(shownAxes(), plotSize), of };
  return known;
}

const labelOf = (point) => facts.labels[point] ?? 0;
const isShown = (point) => !state.hidden.has(facts.labels[point]) && (!isolated || isolated.has(point));
const positionsOf = (epoch) => (positions[epoch] ??= placesOf(data.snapshots[epoch].latents, count, labelOf));

function setCloud(next) {
  cloud = next && { ...next, number: next.latents.length / size, looks: null };
  if (cloud) cloud.screen = columnsOf(cloud.number);
  placeCloud();
  redraw("points");
}

function placeCloud() {
  if (cloud) cloud.places = placesOf(cloud.latents, cloud.number, (i) => cloud.labels?.[i] ?? 0);
}

// Each pair of color and shape gets a number, and each point that of its own.
function findLooks(colorOf) {
  const known = new Map();
  const list = [];
  const outline = themed("surface");
  for (let point = 0; point < count; point++) {
    const [color, shape] = [colorOf(point), symbolOf(labelOf(point))];
    const key = `${color} ${shape}`;
    if (!known.has(key)) known.set(key, list.push({ color, shape, outline }) - 1);
    looks.of[point] = known.get(key);
  }
  looks.list = list;
}

function lookAgain() {
  findLooks(colorOfPoint ?? ((point) => colorOf(labelOf(point))));
  stamps = null;
  if (cloud) cloud.looks = null;
  redraw("points");
}

function resize() {
  plotSize.width = plotBox.clientWidth;
  plotSize.height = plotBox.clientHeight;
  plotSize.frame = flat ? flatFrame(pointsContext, plotSize) : null;
  for (const canvas of layers) {
    canvas.width = Math.round(plotSize.width * ratio());
    canvas.height = Math.round(plotSize.height * ratio());
  }
  redraw("points");
}

function drawPoints() {
  const { width, height } = plotSize;
  const view = plot.lens();
  const context = pointsContext;
  context.setTransform(ratio(), 0, 0, ratio(), 0, 0);
  context.fillStyle = themed("surface");
  context.fillRect(0, 0, width, height);
  texts = [];
  drawAxes(context, view, plotSize, texts);
  const fine = fineLens(view); // markers know no transform
  projectAll(fine, shown, count, screen);
  for (let point = 0; point < count; point++) screen.shown[point] = isShown(point);
  screen.number = sortByDepth(screen.depth, count, screen.shown, screen.order);
  const { width: columns, height: rows } = context.canvas;
  if (!columns || !rows || (!screen.number && !cloud)) return;
  const image = context.getImageData(0, 0, columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  if (cloud) drawCloud(pixels, columns, rows, fine);
  if (!drawThumbnail) {
    const { size: side, alpha } = crowd(screen.number, width);
    const grain = Math.round(side * ratio() * 4) / 4;
    if (!stamps || stamps.size !== grain || stamps.alpha !== alpha) stamps = new Stamps(looks.list, grain, alpha);
    paintMarkers(pixels, columns, rows, { ...screen, looks: looks.of, stamps });
  }
  context.putImageData(image, 0, 0);
  if (drawThumbnail) for (const point of screen.order.subarray(0, screen.number)) drawThumbnail(context, point, ...pixel(screen, point));
}

const fineLens = (lens) => ({ ...lens, x: lens.x * ratio(), y: lens.y * ratio(), scale: lens.scale * ratio() });
const pixel = ({ x, y }, i) => [x[i] / ratio(), y[i] / ratio()];

function drawCloud(pixels, width, height, lens) {
  projectAll(lens, cloud.places, cloud.number, cloud.screen);
  if (!cloud.looks) {
    const labels = cloud.labels ?? new Uint8Array(cloud.number);
    cloud.looks = labels;
    cloud.colors = Array.from({ length: Math.max(1, facts.classes.length) }, (_, label) => dotColor(colorOf(label), 0.45));
  }
  paintDots(pixels, width, height, { ...cloud.screen, number: cloud.number, looks: cloud.looks, colors: cloud.colors, side: Math.round(1.5 * ratio()) });
}

// Drawing is put off to the next frame, where all that changed meanwhile is drawn at once.
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
  drawMarks();
}

// Until nothing is left to draw, and the fragment says what is shown.
async function settled() {
  await errorsShown;
  while (stale || moving) await (stale ? painted : new Promise(requestAnimationFrame));
  if (timer) writeFragment();
}

const MOVE_MS = 450;
let moves = 0;
let moving = false;

// Let the points glide to where the epoch has them, so that the eye can follow each.
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

// Points under a place of the window.

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
  projectAll(fineLens(plot.lens()), shown, count, screen); // a press may come before the frame that draws its move
  const { left, top } = plotBox.getBoundingClientRect();
  const [px, py] = [(clientX - left) * ratio(), (clientY - top) * ratio()];
  const radius = (crowd(screen.number, plotSize.width).size / 2) * ratio();
  let found = null;
  for (let i = 0; i < count; i++) {
    if ((screen.x[i] - px) ** 2 + (screen.y[i] - py) ** 2 > radius ** 2 || !isShown(i)) continue;
    if (found === null || screen.depth[i] >= screen.depth[found]) found = i;
  }
  return found ?? nearest(screen, count, clientX, clientY, reach, isShown);
}

// By the even-odd rule.
function pointsIn(polygon) {
  projectAll(fineLens(plot.lens()), shown, count, screen);
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
  return facts.indices.flatMap((_, i) => (isShown(i) && within(screen.x[i], screen.y[i]) ? [i] : []));
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

function buildPlot() {
  plotBox.replaceChildren(...layers);
  shown = positionsOf(state.epoch);
  plotBox.setAttribute("aria-label", `Plot of ${count} latents. Arrow keys ${flat ? "move" : "turn"} it, plus and minus zoom.`);
  element("plot-hint").textContent = plotHint();
  new ResizeObserver(resize).observe(plotBox);
  watch(["theme"], lookAgain);
  watch(["epoch"], moveToEpoch);
  watch(["axes"], changeAxes);
  watch(["hidden", "view", "proportions"], () => redraw("points"));
  watch(["point", "latent", "from", "to"], () => redraw("marks"));
  element("zoom-in").onclick = () => zoom(1.25);
  element("zoom-out").onclick = () => zoom(0.8);
  element("reset-view").onclick = resetView;
  buildGestures();
  buildAxes();
  resize();
  lookAgain();
}

// Which axes, and how long they are drawn.
function buildAxes() {
  const box = element("proportions");
  box.onchange = () => set({ proportions: box.checked, view: null });
  element("proportions-label").hidden = lanes;
  watch(["proportions"], () => (box.checked = state.proportions));
  box.checked = state.proportions;
  if (size <= 3) return;
  const selects = firstAxes.map((_, i) => {
    const select = make("select", { id: `axis-${i + 1}` });
    select.setAttribute("aria-label", `Axis ${i + 1} of the plot`);
    select.append(...axisNames.map((name) => make("option", { value: name, textContent: name.toUpperCase().replace("Z", "z") })));
    select.onchange = () => {
      const axes = [...(state.axes ?? firstAxes)];
      const other = axes.indexOf(select.value);
      if (other >= 0) axes[other] = axes[i]; // the two swap
      axes[i] = select.value;
      set({ axes: axes.join() === firstAxes.join() ? null : axes, view: null });
    };
    return select;
  });
  element("plot-axes").append("Axes", ...selects);
  element("plot-axes").hidden = false;
  const show = () => selects.forEach((select, i) => (select.value = (state.axes ?? firstAxes)[i]));
  watch(["axes"], show);
  show();
}
