// A map under the XY slider: pictures decoded on a grid over its two dimensions; the others keep the sliders' values.

import { decode, decodingEpoch } from "./decoder.js";
import { element, make } from "./dom.js";
import { facts, size } from "./facts.js";
import { drawPixels } from "./pictures.js";
import { set, state, watch } from "./state.js";
import { drawXyGround, xyLayers } from "./xy_slider.js";

const MAP_SIDE = 12; // pictures along a side of it
const MAP_MS = 10; // of a frame, for decoding
const mapTiles = make("canvas");
const mapTile = make("canvas");
let mapShown = ""; // what its pictures depend on

// Draws a few pictures per frame, so that a large decoder blocks nothing; a new map replaces an unfinished one.
async function decodeMap() {
  const epoch = decodingEpoch();
  const rest = state.latent.map((value, dimension) => (state.xy.includes(dimension) ? 0 : value));
  const wanted = JSON.stringify([epoch, state.xy, rest]);
  if (!state.map || wanted === mapShown) return;
  mapShown = wanted;
  if (mapTiles.width !== MAP_SIDE * facts.width) {
    mapTiles.width = MAP_SIDE * facts.width;
    mapTiles.height = MAP_SIDE * facts.height;
  }
  let until = performance.now() + MAP_MS;
  for (let i = 0; i < MAP_SIDE ** 2; i++) {
    const [column, row] = [i % MAP_SIDE, Math.floor(i / MAP_SIDE)];
    drawPixels(mapTile, decode(mapLatent(column, row), epoch));
    mapTiles.getContext("2d").drawImage(mapTile, column * facts.width, row * facts.height);
    if (performance.now() < until) continue;
    drawXyGround();
    await new Promise(requestAnimationFrame);
    if (wanted !== mapShown) return;
    until = performance.now() + MAP_MS;
  }
  drawXyGround();
}

// The latent in the middle of a picture of the map, counted from its upper left.
function mapLatent(column, row) {
  const latent = [...state.latent];
  [(column + 0.5) / MAP_SIDE, 1 - (row + 0.5) / MAP_SIDE].forEach((share, i) => {
    const [low, high] = facts.sliders[state.xy[i]];
    latent[state.xy[i]] = low + share * (high - low);
  });
  return latent;
}

function drawMap(context, side) {
  if (!state.map) return;
  decodeMap();
  context.imageSmoothingEnabled = facts.width * MAP_SIDE > side;
  context.drawImage(mapTiles, 0, 0, side, side);
}

function showMap() {
  element("show-map").setAttribute("aria-pressed", String(state.map));
  element("map-points-label").hidden = !state.map;
  element("map-points").checked = state.mapPoints;
  element("decode-pair").classList.toggle("mapped", state.map);
  drawXyGround();
}

export function buildMap() {
  element("show-map").hidden = size < 2;
  element("show-map").onclick = () => set({ map: !state.map && size > 1 });
  element("map-points").onchange = () => set({ mapPoints: element("map-points").checked });
  xyLayers.push(drawMap);
  watch(["map", "mapPoints"], showMap);
  watch(["latent", "epoch"], decodeMap);
}
