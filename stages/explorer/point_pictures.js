// Draw images in place of the markers.

import { colorOf } from "./classes.js";
import { coloring } from "./coloring.js";
import { data } from "./data.js";
import { element } from "./dom.js";
import { facts } from "./facts.js";
import { labelOf, plot, plotBox } from "./plot.js";
import { set, state, watch } from "./state.js";

const SIDE = { least: 22, most: 34 }; // CSS pixels

// If pictures would overlap, only those in front are drawn; the others stay markers.
function drawThumbnails(context, points) {
  const { clientWidth, clientHeight } = plotBox;
  const wanted = Math.sqrt((0.35 * clientWidth * clientHeight) / points.length);
  const side = Math.min(SIDE.most, Math.max(SIDE.least, wanted));
  const thinned = wanted < SIDE.least ? apart(points, side) : points;
  for (const point of thinned) drawThumbnail(context, point, side);
}

// Of points from back to front those that have room, at most one to a cell of a grid, the ones in front first.
function apart(points, side) {
  const taken = new Set();
  const kept = [];
  for (let i = points.length - 1; i >= 0; i--) {
    const [x, y] = plot.pixelOf(points[i]);
    const cell = `${Math.floor(x / side)} ${Math.floor(y / side)}`;
    if (taken.has(cell)) continue;
    taken.add(cell);
    kept.push(points[i]);
  }
  return kept.reverse();
}

// The image in a frame of its color.
function drawThumbnail(context, point, side) {
  const { width, height, columns } = facts;
  const [x, y] = plot.pixelOf(point);
  const scale = side / Math.max(width, height);
  const [w, h] = [width * scale, height * scale];
  const at = [(point % columns) * width, Math.floor(point / columns) * height];
  context.drawImage(data.images, ...at, width, height, x - w / 2, y - h / 2, w, h);
  context.strokeStyle = thumbColor ? thumbColor(point) : colorOf(labelOf(point));
  context.lineWidth = 1.5;
  context.strokeRect(x - w / 2, y - h / 2, w, h);
}

let thumbColor = null; // by error, or null: by class

function showThumbnails() {
  element("thumbnails").setAttribute("aria-pressed", String(state.thumbnails));
  thumbColor = coloring()?.colorOf ?? null;
  plot.thumbnails(state.thumbnails ? drawThumbnails : null);
}

export function buildThumbnails() {
  element("thumbnails").onclick = () => set({ thumbnails: !state.thumbnails });
  watch(["thumbnails", "color", "epoch", "theme"], showThumbnails);
}
