// What lies on top of the points, always: the chosen one's ring, lines to its neighbors, the interpolation's line, the
// cursor of the sliders. What belongs to a hidden class is not drawn.

import { stroke } from "./canvas.js";
import { decodingEpoch } from "./decoder.js";
import { element } from "./dom.js";
import { lanes } from "./latent_axes.js";
import { neighborsOf } from "./neighbors.js";
import { plot, plotSize } from "./plot.js";
import { project } from "./projection.js";
import { markerSize } from "./sprites.js";
import { state } from "./state.js";
import { themed } from "./theme.js";
import { isShown } from "./visible.js";

export const marked = {}; // what is drawn now, in places: {chosen, neighbors, line, cursor}, null where not

function placeMarks() {
  const chosen = isShown(state.point);
  const decodes = decodingEpoch() === state.epoch; // else the last epoch's places mean nothing here
  marked.chosen = chosen ? plot.placeOf(state.point) : null;
  marked.neighbors = chosen
    ? neighborsOf(state.point, state.epoch).flatMap(({ point }) => (isShown(point) ? [plot.placeOf(point)] : []))
    : null;
  marked.line =
    state.line && decodes && [state.from, state.to].every(isShown) ? [state.from, state.to].map(plot.placeOf) : null;
  marked.cursor = decodes ? plot.placeOfLatent(state.latent) : null;
}

function drawMarks(context, projection) {
  const { width, height, frame } = plotSize;
  placeMarks();
  const at = (place) => project(projection, place);
  const ink = themed("ink");
  const { chosen, neighbors, line: ends, cursor } = marked;
  const radius = markerSize(plot.number(), width).size / 2 + 4.5;
  if (chosen) {
    const [x, y] = at(chosen);
    stroke(context, themed("muted"), 1.2, () => {
      for (const place of neighbors) {
        context.moveTo(x, y);
        context.lineTo(...at(place).slice(0, 2));
      }
    });
  }
  if (ends) {
    stroke(context, ink, 2.5, () => {
      context.moveTo(...at(ends[0]).slice(0, 2));
      context.lineTo(...at(ends[1]).slice(0, 2));
    });
  }
  if (chosen) {
    const [x, y] = at(chosen);
    stroke(context, ink, 2.2, () => context.arc(x, y, radius, 0, 2 * Math.PI));
  }
  if (cursor) drawCursor(context, at(cursor), ink, { width, height, frame });
}

// A diamond; in the plot of one dimension, which gives it no lane, a line across all. Outside the view it stands at its edge.
function drawCursor(context, [x, y], ink, { width, height, frame }) {
  const inside = (value, most) => Math.min(most - 8, Math.max(8, value));
  const [cx, cy] = [inside(x, width), lanes ? height - frame.bottom : inside(y, height)];
  if (lanes) {
    stroke(context, ink, 1.2, () => {
      context.moveTo(cx, frame.top);
      context.lineTo(cx, cy);
    });
  }
  marked.outside = cx !== x || (!lanes && cy !== y);
  element("decode-note").hidden = !marked.outside;
  context.fillStyle = ink;
  context.strokeStyle = themed("surface");
  context.lineWidth = 1.5;
  context.lineJoin = "miter";
  const path = new Path2D(`M${cx} ${cy - 8}L${cx + 8} ${cy}L${cx} ${cy + 8}L${cx - 8} ${cy}z`);
  context.fill(path);
  context.stroke(path);
}

export const buildMarks = () => plot.layers.push(drawMarks);
