// Points selected with a box or a lasso, on the plot or the pad, or by another part of the page.

const MOST_PAIRS = 24;
let corners = []; // of the outline that is being drawn, in the window's pixels
let selectionName = "";

function select(points, name = "") {
  selectionName = name;
  set({ selected: points, tool: null, ...(points.length ? {} : { isolated: false }) });
  if (points.length) element("selection-card").scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
}

// Follow a drag, and at its end select what `pointsIn` finds within the outline.
function follow(kind, x, y, pointsIn) {
  if (kind === "start") corners = [[x, y]];
  else if (kind === "move" && state.tool === "lasso") corners.push([x, y]);
  else if (kind === "move") corners = [corners[0], [x, corners[0][1]], [x, y], [corners[0][0], y]];
  else {
    const outline = corners;
    corners = [];
    if (kind === "end" && outline.length > 2) select(pointsIn(outline));
  }
  plot.redraw("marks");
  drawPad();
}

// Whether a drag on the pad selects; if it does, follow it.
function selectsOnPad(kind, { clientX, clientY }) {
  if (!state.tool) return false;
  follow(kind, clientX, clientY, pointsOnPad);
  return true;
}

// Where the pad starts within its border, in the window's pixels.
function padStart() {
  const { left, top } = pad.getBoundingClientRect();
  return { left: left + pad.clientLeft, top: top + pad.clientTop };
}

// The points shown that lie within an outline on the pad.
function pointsOnPad(outline) {
  const { left, top } = padStart();
  const path = new Path2D();
  outline.forEach(([x, y]) => path.lineTo(x - left, y - top));
  padContext.resetTransform();
  const inside = (point) => padContext.isPointInPath(path, ...padPlace(latentOf(point, decodingEpoch())), "evenodd");
  return facts.indices.flatMap((_, point) => (isShown(point) && inside(point) ? [point] : []));
}

// The outline on a canvas that starts at a place of the window, in the window's pixels.
function drawOutline(context, { left, top }) {
  if (corners.length < 2) return;
  const path = new Path2D();
  corners.forEach(([x, y]) => path.lineTo(x - left, y - top));
  path.closePath();
  context.save();
  context.strokeStyle = themed("ink");
  context.lineWidth = 1.5;
  context.setLineDash([5, 4]);
  context.stroke(path);
  context.globalAlpha = 0.08;
  context.fillStyle = themed("ink");
  context.fill(path, "evenodd");
  context.restore();
}

// A ring about each selected point, but where they are alone anyway.
function drawSelected(context) {
  if (!state.selected.length || state.isolated) return;
  const rings = new Path2D();
  for (const point of state.selected) {
    if (!isShown(point)) continue;
    const [x, y] = pixel(screen, point);
    rings.moveTo(x + 7, y);
    rings.arc(x, y, 7, 0, 2 * Math.PI);
  }
  context.strokeStyle = themed("ink");
  context.lineWidth = 1.5;
  context.stroke(rings);
}

function showTool() {
  for (const tool of ["box", "lasso"]) element(tool).setAttribute("aria-pressed", String(state.tool === tool));
  plot.drag = state.tool && ((kind, x, y) => follow(kind, x, y, plot.pointsIn));
  for (const id of ["plot", "pad"]) element(id).classList.toggle("selecting", state.tool !== null);
}

function showSelection() {
  const { selected, isolated, epoch } = state;
  element("selection-card").hidden = selected.length === 0;
  element("isolate").setAttribute("aria-pressed", String(isolated));
  plot.isolate(isolated ? new Set(selected) : null);
  drawPadGround();
  if (!selected.length) return;
  const { errors } = data.snapshots[epoch];
  const mean = (points) => (points.reduce((sum, point) => sum + errors[point], 0) / points.length).toPrecision(3);
  element("selection-text").textContent =
    `${selectionName && `${selectionName}: `}${selected.length} of ${count} points, mean error ${mean(selected)} (of all ${mean(facts.indices.map((_, point) => point))})`;
  element("selection-classes").replaceChildren(...(present.length > 1 ? classCounts(selected) : []));
  const worst = [...selected].sort((a, b) => errors[b] - errors[a] || a - b);
  element("selection-pairs").replaceChildren(
    ...worst.slice(0, MOST_PAIRS).map((point) => pairOf(point, epoch)),
  );
  const rest = selected.length - MOST_PAIRS;
  element("selection-rest").textContent = rest > 0 ? `Image above, reconstruction below; the ${MOST_PAIRS} worst, and ${rest} more.` : "Image above, reconstruction below; the worst first.";
}

function classCounts(points) {
  const counts = new Map();
  for (const point of points) counts.set(facts.labels[point], (counts.get(facts.labels[point]) ?? 0) + 1);
  const entries = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  return entries.map(([label, number]) => make("span", { className: "count" }, swatch(label), `${facts.classes[label]} ${number}`));
}

let thumbColor = null; // by error, or null: by class

// The image in the place of a marker, in a frame of its color.
function drawThumb(context, point, x, y) {
  const { width, height, columns } = facts;
  const visible = state.isolated ? state.selected.length : count;
  const side = Math.min(34, Math.max(12, Math.sqrt((0.35 * plotBox.clientWidth * plotBox.clientHeight) / visible)));
  const scale = side / Math.max(width, height);
  const [w, h] = [width * scale, height * scale];
  const at = [(point % columns) * width, Math.floor(point / columns) * height];
  context.drawImage(data.images, ...at, width, height, x - w / 2, y - h / 2, w, h);
  context.strokeStyle = thumbColor ? thumbColor(point) : colorOf(labelOf(point));
  context.lineWidth = 1.5;
  context.strokeRect(x - w / 2, y - h / 2, w, h);
}

function showThumbnails() {
  element("thumbnails").setAttribute("aria-pressed", String(state.thumbnails));
  thumbColor = state.color === "error" ? colorByError() : null;
  plot.thumbnails(state.thumbnails ? drawThumb : null);
}

function buildSelect() {
  for (const tool of ["box", "lasso"]) element(tool).onclick = () => set({ tool: state.tool === tool ? null : tool });
  element("thumbnails").onclick = () => set({ thumbnails: !state.thumbnails });
  element("isolate").onclick = () => set({ isolated: !state.isolated });
  element("clear-selection").onclick = () => select([]);
  addEventListener("keydown", ({ key }) => key === "Escape" && state.tool && set({ tool: null }));
  plot.layers.push((context) => {
    drawSelected(context);
    drawOutline(context, plotBox.getBoundingClientRect());
  });
  padMarks.push((context) => drawOutline(context, padStart()));
  watch(["tool"], showTool);
  watch(["selected", "isolated", "epoch", "theme"], showSelection);
  watch(["thumbnails", "color", "epoch", "theme"], showThumbnails);
}
