// The plot: the points, coloured by class, and what the other parts of the page mark among them.

let flat = facts.axes.length < 3; // also where the browser turns out not to draw three dimensions
const FIRST_CAMERA = { eye: [1.25, 1.25, 0.8], center: [0, 0, -0.13], up: [0, 0, 1] };
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let positions = []; // one an epoch: Float64Array [count * 3]
let shown = null; // the positions drawn now, which move from one epoch's to the next
const plot = element("plot");
const config = { displayModeBar: false, responsive: true, scrollZoom: true, doubleClick: false, showTips: false };
const OVERLAYS = ["neighbors", "line", "chosen", "decoded"];

// Where a latent stands in the plot, always three numbers.
function placed(latent) {
  const { projection } = facts;
  const place = projection
    ? projection.components.map((weights) =>
        weights.reduce((sum, weight, i) => sum + weight * (latent[i] - projection.mean[i]), 0),
      )
    : latent;
  return [place[0], place[1] ?? 0, place[2] ?? 0];
}

const axis = (dimension) => facts.axes[dimension] ?? { title: "", range: [-1, 1] };
const membersOf = (label) => facts.labels.flatMap((other, point) => (other === label ? [point] : []));
const members = new Map(present.map((label) => [label, membersOf(label)]));

// Columns of coordinates for Plotly, of a list of [x, y, z].
const coordinates = () => (flat ? ["x", "y"] : ["x", "y", "z"]);
const columns = (places) => Object.fromEntries(coordinates().map((name, i) => [name, places.map((place) => place[i])]));
const shownAt = (point) => [shown[3 * point], shown[3 * point + 1], shown[3 * point + 2]];

function classTrace(label) {
  return {
    type: flat ? "scatter" : "scatter3d",
    mode: "markers",
    name: `class ${label}`,
    customdata: members.get(label),
    hoverinfo: "none",
    visible: !state.hidden.has(label),
    marker: {
      color: colorOf(label),
      symbol: symbolOf(label),
      size: markerSize(label),
      opacity: 1,
      line: { color: themed("surface"), width: flat ? 0.8 : 0.5 },
    },
    ...columns(members.get(label).map(shownAt)),
  };
}

// In one box a square looks larger than a circle; in 3-D, where symbols are letters of a font, a diamond does too.
const markerSize = (label) =>
  room() * (flat ? { circle: 10, square: 9, diamond: 10 } : { circle: 7, square: 6, diamond: 6 })[symbolOf(label)];
const room = () => Math.min(1, Math.max(0.6, plot.clientWidth / 700));

// What stands in the plot besides the points. Earlier epochs had another decoder, so there the last one's marks go.
function overlayPlaces() {
  const now = state.epoch === last;
  const chosen = shownAt(state.point);
  const spokes = neighborsOf(state.point, state.epoch).flatMap(({ point }) => [chosen, shownAt(point), [null, null, null]]);
  return {
    neighbors: spokes,
    line: now ? [state.from, state.to].map((point) => placed(latentOf(point, last))) : [],
    chosen: [chosen],
    decoded: now ? [placed(state.latent).map(clamp)] : [],
  };
}

function clamp(value, dimension) {
  const [low, high] = axis(dimension).range;
  return Math.min(high, Math.max(low, value));
}

function overlayStyles() {
  const ink = themed("ink");
  return {
    neighbors: { mode: "lines", line: { color: themed("muted"), width: flat ? 1 : 2 } },
    line: { mode: "lines", line: { color: ink, width: flat ? 2.5 : 5 } },
    chosen: {
      mode: "markers",
      marker: { symbol: "circle-open", size: room() * (flat ? 20 : 14), color: ink, line: { color: ink, width: flat ? 2 : 3 } },
    },
    decoded: {
      mode: "markers",
      marker: { symbol: "diamond", size: room() * (flat ? 14 : 9), color: ink, line: { color: themed("surface"), width: 1 } },
    },
  };
}

function overlayTraces() {
  const places = overlayPlaces();
  const styles = overlayStyles();
  return OVERLAYS.map((name) => ({
    type: flat ? "scatter" : "scatter3d",
    name,
    hoverinfo: "skip",
    ...styles[name],
    ...columns(places[name]),
  }));
}

function axisLayout(dimension) {
  const { title, range } = axis(dimension);
  return {
    title: { text: title },
    range: [...range],
    autorange: false,
    color: themed("muted"),
    gridcolor: themed("grid"),
    linecolor: themed("grid"),
    zeroline: false,
    showspikes: false,
    showbackground: false,
    nticks: 6,
    visible: title !== "",
  };
}

function layout() {
  const common = {
    margin: flat ? { l: 56, r: 16, t: 8, b: 44 } : { l: 0, r: 0, t: 0, b: 0 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: themed("muted") },
    showlegend: false,
    hovermode: "closest",
  };
  if (flat) return { ...common, dragmode: "pan", xaxis: axisLayout(0), yaxis: axisLayout(1) };
  return {
    ...common,
    scene: {
      xaxis: axisLayout(0),
      yaxis: axisLayout(1),
      zaxis: axisLayout(2),
      aspectmode: "cube",
      dragmode: "orbit",
      hovermode: "closest",
    },
  };
}

const vector = ([x, y, z]) => ({ x, y, z });
const list = ({ x, y, z }) => [x, y, z];

// The view as Plotly's layout has it, from the state's list of numbers.
function viewLayout() {
  if (flat) {
    const [left, right, bottom, top] = state.view ?? [...axis(0).range, ...axis(1).range];
    return { "xaxis.range": [left, right], "yaxis.range": [bottom, top] };
  }
  const { view } = state;
  const { eye, center, up } = view
    ? { eye: view.slice(0, 3), center: view.slice(3, 6), up: view.slice(6) }
    : FIRST_CAMERA;
  return { "scene.camera": { eye: vector(eye), center: vector(center), up: vector(up) } };
}

// The layout with the view of the state: a new layout must not turn the plot back.
function viewedLayout() {
  const viewed = layout();
  for (const [path, value] of Object.entries(viewLayout())) {
    const [part, key] = path.split(".");
    viewed[part][key] = value;
  }
  return viewed;
}

function currentView() {
  if (flat) return [...plot.layout.xaxis.range, ...plot.layout.yaxis.range];
  // The layout's own camera falls behind: after a relayout, Plotly no longer writes drags into it.
  const { eye, center, up } = plot._fullLayout.scene._scene.getCamera();
  return [...list(eye), ...list(center), ...list(up)];
}

async function buildPlot() {
  positions = data.snapshots.map(({ latents }) => {
    const place = new Float64Array(count * 3);
    for (let point = 0; point < count; point++) {
      place.set(placed(latents.subarray(point * size, (point + 1) * size)), 3 * point);
    }
    return place;
  });
  shown = positions[state.epoch];
  plot.setAttribute("aria-label", `Plot of ${count} latents. Arrow keys turn it, plus and minus zoom.`);
  const draw = () => Plotly.newPlot(plot, [...present.map(classTrace), ...overlayTraces()], viewedLayout(), config);
  await draw();
  if (!flat && plot.textContent.includes("WebGL is not supported")) {
    flat = true;
    state.view = null;
    await draw();
  }
  element("plot-hint").textContent = plotHint();
  plot.on("plotly_hover", ({ points: [point] }) => point.customdata !== undefined && showHover(point.customdata));
  plot.on("plotly_unhover", () => mouse.type === "mouse" && hideHover());
  for (const kind of ["plotly_relayouting", "plotly_relayout"]) plot.on(kind, keepView);
  let wheel = 0; // Plotly says nothing of it
  plot.addEventListener("wheel", () => {
    clearTimeout(wheel);
    wheel = setTimeout(keepView, 200);
  }, { passive: true });
  watch(["epoch"], moveToEpoch);
  watch(["point", "latent", "from", "to"], () => repaint("overlays"));
  watch(["hidden"], () => repaint("visible"));
  watch(["theme"], () => repaint("colors"));
  watch(["view"], () => Plotly.relayout(plot, viewLayout()));
  for (const [id, factor] of [["zoom-in", 0.8], ["zoom-out", 1.25]]) element(id).onclick = () => zoom(factor);
  element("reset-view").onclick = resetView;
  buildPicking();
}

// Where on the screen a point of the plot is. Plotly has no public way to ask.
function onScreen(point) {
  const place = shownAt(point);
  const full = plot._fullLayout;
  if (flat) {
    const box = plot.getBoundingClientRect();
    const [x, y] = [full.xaxis, full.yaxis].map((its, i) => its._offset + its.l2p(place[i]));
    return [box.left + x, box.top + y];
  }
  const scene = full.scene._scene;
  const { projection, view, model } = scene.glplot.cameraParams; // 4 x 4, column by column
  const apply = (matrix, v) => [0, 1, 2, 3].map((row) => v.reduce((sum, value, i) => sum + matrix[4 * i + row] * value, 0));
  const scaled = [...place.map((value, i) => value * scene.dataScale[i]), 1];
  const [x, y, , w] = apply(projection, apply(view, apply(model, scaled)));
  const box = scene.container.getBoundingClientRect();
  return [box.left + ((x / w + 1) / 2) * box.width, box.top + ((1 - y / w) / 2) * box.height];
}

const REACH = { mouse: 8, pen: 12, touch: 24 }; // pixels around a click or a tap in which a point is meant
const STILL = 8; // pixels that what clicks or taps may move; more is a drag

// A click or a tap chooses a point. Plotly's own clicks are lost where frames are slow, and in 3-D it hears no taps.
function buildPicking() {
  let start = null;
  plot.addEventListener("pointerdown", (event) => (start = event.isPrimary && event.button === 0 ? event : null), true);
  plot.addEventListener("pointerup", (event) => {
    const far = (x, y) => Math.hypot(x - event.clientX, y - event.clientY);
    if (!start || far(start.clientX, start.clientY) > STILL) return;
    const { pointerType } = event;
    const point = hovered !== null && pointerType === "mouse" ? hovered : nearestOnScreen(far, REACH[pointerType] ?? 8);
    hideHover();
    if (point === null) return;
    choose(point);
    if (pointerType !== "mouse") showHover(point);
  }, true);
}

function nearestOnScreen(far, reach) {
  let nearest = null;
  facts.labels.forEach((label, point) => {
    const distance = state.hidden.has(label) ? Infinity : far(...onScreen(point));
    if (distance <= reach) [nearest, reach] = [point, distance];
  });
  return nearest;
}

// A view made with the mouse is there already: it is kept, not drawn.
function keepView() {
  const view = currentView();
  if (!viewDiffers(view)) return;
  state.view = view;
  hideHover();
  remember();
}

function plotHint() {
  if (facts.projection) return `${size} dimensions, on their first three principal components`;
  if (flat && facts.axes.length > 2) return "the first two dimensions: this browser draws no 3-D";
  const finger = matchMedia("(pointer: coarse)").matches;
  const zoomed = finger ? "pinch to zoom, tap to choose" : "scroll to zoom, click to choose";
  return `drag to ${flat ? "pan" : "turn"}, ${zoomed}`;
}

function viewDiffers(view) {
  const first = flat
    ? [...axis(0).range, ...axis(1).range]
    : [...FIRST_CAMERA.eye, ...FIRST_CAMERA.center, ...FIRST_CAMERA.up];
  // Plotly straightens the camera's up, the last three, on any click.
  return (state.view ?? first).slice(0, 6).some((value, i) => Math.abs(value - view[i]) > 1e-6);
}

const resetView = () => set({ view: null });

// Drawing is put off to the next frame, where all that changed meanwhile is drawn at once.
const stale = new Set();
let painting = false;

async function repaint(part) {
  stale.add(part);
  if (painting) return;
  painting = true;
  while (stale.size) {
    await new Promise(requestAnimationFrame);
    const parts = new Set(stale);
    stale.clear();
    await paint(parts);
  }
  painting = false;
}

// When all that was asked for so far is drawn, and the fragment says it.
async function settled() {
  while (painting || stale.size || moving) await new Promise(requestAnimationFrame);
  await new Promise((done) => setTimeout(done, REMEMBER_MS + 50));
}

const classIndices = present.map((_, i) => i);
const overlayIndices = OVERLAYS.map((_, i) => present.length + i);

const gather = (traces) => Object.fromEntries(coordinates().map((name) => [name, traces.map((trace) => trace[name])]));

async function paint(parts) {
  if (parts.has("colors")) {
    keepView();
    const traces = [...present.map(classTrace), ...overlayTraces()];
    await Plotly.react(plot, traces, viewedLayout(), config);
    return;
  }
  if (parts.has("visible")) {
    await Plotly.restyle(plot, { visible: present.map((label) => !state.hidden.has(label)) }, classIndices);
  }
  if (parts.has("points")) {
    const traces = [...present.map((label) => columns(members.get(label).map(shownAt))), ...overlayColumns()];
    await Plotly.restyle(plot, gather(traces), [...classIndices, ...overlayIndices]);
  } else if (parts.has("overlays")) {
    await Plotly.restyle(plot, gather(overlayColumns()), overlayIndices);
  }
}

const overlayColumns = () => Object.values(overlayPlaces()).map(columns);

const MOVE_MS = 450;
let moves = 0;
let moving = false;

// Let the points glide to where the epoch has them, so that the eye can follow each.
async function moveToEpoch() {
  const move = ++moves;
  const start = shown;
  const end = positions[state.epoch];
  const begin = performance.now();
  moving = true;
  while (!calm.matches && start !== end) {
    const time = (performance.now() - begin) / MOVE_MS;
    if (time >= 1) break;
    const eased = time * time * (3 - 2 * time);
    shown = start.map((value, i) => value + eased * (end[i] - value));
    await repaint("points");
    await new Promise(requestAnimationFrame);
    if (move !== moves) return; // a later one has taken over
  }
  shown = end;
  moving = false;
  repaint("points");
}

function zoom(factor) {
  const view = currentView();
  if (flat) {
    for (const i of [0, 2]) {
      const middle = (view[i] + view[i + 1]) / 2;
      view[i] = middle + factor * (view[i] - middle);
      view[i + 1] = middle + factor * (view[i + 1] - middle);
    }
  } else {
    for (let i = 0; i < 3; i++) view[i] = view[3 + i] + factor * (view[i] - view[3 + i]);
  }
  set({ view });
}

// Turn the camera about the middle by angles; a flat plot has nothing to turn, and moves instead.
function turn(azimuth, elevation) {
  if (flat) return pan(azimuth, elevation);
  const view = currentView();
  const [x, y, z] = [0, 1, 2].map((i) => view[i] - view[3 + i]);
  const radius = Math.hypot(x, y, z);
  const east = Math.atan2(y, x) + azimuth;
  const north = Math.min(1.5, Math.max(-1.5, Math.asin(z / radius) + elevation));
  const eye = [Math.cos(north) * Math.cos(east), Math.cos(north) * Math.sin(east), Math.sin(north)];
  set({ view: [...eye.map((value, i) => radius * value + view[3 + i]), ...view.slice(3, 6), 0, 0, 1] });
}

// Move what is seen by shares of it, to the right and up.
function pan(right, up) {
  const view = currentView();
  if (flat) {
    const across = right * (view[1] - view[0]);
    const along = up * (view[3] - view[2]);
    return set({ view: [view[0] + across, view[1] + across, view[2] + along, view[3] + along] });
  }
  const east = Math.atan2(view[1] - view[4], view[0] - view[3]);
  const move = [-right * Math.sin(east), right * Math.cos(east), up];
  set({ view: view.map((value, i) => (i < 6 ? value + move[i % 3] : value)) });
}
