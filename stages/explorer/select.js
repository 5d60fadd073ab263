// Points selected with a box or a lasso, on the plot or the XY slider, or by another part of the page.

import { swatch } from "./classes.js";
import { data, latentOf } from "./data.js";
import { decodingEpoch } from "./decoder.js";
import { element, make } from "./dom.js";
import { count, facts, present } from "./facts.js";
import { grouped } from "./format.js";
import { calm } from "./players.js";
import { plot, plotBox } from "./plot.js";
import { pairOf } from "./point.js";
import { set, state, watch } from "./state.js";
import { themed } from "./theme.js";
import { allPoints, isShown } from "./visible.js";
import { drawXySlider, xyContext, xyHand, xyMarks, xyPlace, xySlider } from "./xy_slider.js";

const MAX_PAIRS = 24;
let corners = []; // of the outline that is being drawn, in the window's pixels

export function select(points, name = "") {
  set({ selected: points, selectedName: name, tool: null, ...(points.length ? {} : { isolated: false }) });
  if (points.length)
    element("selection-card").scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
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
  drawXySlider();
}

// Where the XY slider starts within its border, in the window's pixels.
function xyStart() {
  const { left, top } = xySlider.getBoundingClientRect();
  return { left: left + xySlider.clientLeft, top: top + xySlider.clientTop };
}

// The points shown that lie within an outline on the XY slider.
function pointsOnXySlider(outline) {
  const { left, top } = xyStart();
  const path = new Path2D();
  outline.forEach(([x, y]) => path.lineTo(x - left, y - top));
  xyContext.resetTransform();
  const inside = (point) => xyContext.isPointInPath(path, ...xyPlace(latentOf(point, decodingEpoch())), "evenodd");
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

// A ring around each selected point, unless only these are shown.
function drawSelected(context) {
  if (!state.selected.length || state.isolated) return;
  const rings = new Path2D();
  for (const point of state.selected) {
    if (!isShown(point)) continue;
    const [x, y] = plot.pixelOf(point);
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
  xyHand.drag = state.tool && ((kind, { clientX, clientY }) => follow(kind, clientX, clientY, pointsOnXySlider));
  for (const id of ["plot", "xy-slider"]) element(id).classList.toggle("selecting", state.tool !== null);
}

function showSelection() {
  const { selectedName, isolated, epoch } = state;
  const selected = state.selected.filter(isShown);
  const hidden = state.selected.length - selected.length;
  element("selection-card").hidden = state.selected.length === 0;
  element("isolate").setAttribute("aria-pressed", String(isolated));
  const { errors } = data.snapshots[epoch];
  const mean = (points) => (points.reduce((sum, point) => sum + errors[point], 0) / points.length).toPrecision(3);
  element("selection-text").textContent = [
    `${selectedName && `${selectedName}: `}${grouped(selected.length)} of ${grouped(count)} points`,
    ...(selected.length ? [`mean error ${mean(selected)} (of all ${mean(allPoints)})`] : []),
    ...(hidden ? [`${hidden} hidden`] : []),
  ].join(", ");
  element("selection-classes").replaceChildren(...(present.length > 1 ? classCounts(selected) : []));
  const worst = [...selected].sort((a, b) => errors[b] - errors[a] || a - b);
  element("selection-pairs").replaceChildren(...worst.slice(0, MAX_PAIRS).map((point) => pairOf(point, epoch)));
  const rest = selected.length - MAX_PAIRS;
  element("selection-rest").textContent =
    rest > 0
      ? `Image above, reconstruction below; the ${MAX_PAIRS} worst, and ${rest} more.`
      : "Image above, reconstruction below; the worst first.";
}

function classCounts(points) {
  const counts = new Map();
  for (const point of points) counts.set(facts.labels[point], (counts.get(facts.labels[point]) ?? 0) + 1);
  const entries = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  return entries.map(([label, number]) =>
    make("span", { className: "count" }, swatch(label), `${facts.classes[label]} ${number}`),
  );
}

export function buildSelect() {
  for (const tool of ["box", "lasso"]) element(tool).onclick = () => set({ tool: state.tool === tool ? null : tool });
  element("isolate").onclick = () => set({ isolated: !state.isolated });
  element("clear-selection").onclick = () => select([]);
  addEventListener("keydown", ({ key }) => key === "Escape" && state.tool && set({ tool: null }));
  plot.layers.push((context) => {
    drawSelected(context);
    drawOutline(context, plotBox.getBoundingClientRect());
  });
  xyMarks.push((context) => drawOutline(context, xyStart()));
  watch(["tool"], showTool);
  watch(["selected", "isolated", "hidden", "epoch", "theme"], showSelection);
}
