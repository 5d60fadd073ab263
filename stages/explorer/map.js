// A map under the pad: pictures decoded on a grid over its two dimensions, the others where the sliders are.

const MAP_SIDE = 12; // pictures along a side of it
const MAP_MS = 10; // of a frame, for decoding
const mapTiles = make("canvas");
const mapTile = make("canvas");
let mapShown = ""; // what its pictures depend on

// A number of pictures a frame, so that a large decoder holds nothing up; a later map takes over from an earlier one.
async function decodeMap() {
  const epoch = decodingEpoch();
  const rest = state.latent.map((value, dimension) => (padAxes.includes(dimension) ? 0 : value));
  const wanted = JSON.stringify([epoch, padAxes, rest]);
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
    drawPadGround();
    await new Promise(requestAnimationFrame);
    if (wanted !== mapShown) return;
    until = performance.now() + MAP_MS;
  }
  drawPadGround();
}

// The latent in the middle of a picture of the map, counted from its upper left.
function mapLatent(column, row) {
  const latent = [...state.latent];
  [(column + 0.5) / MAP_SIDE, 1 - (row + 0.5) / MAP_SIDE].forEach((share, i) => {
    const [low, high] = facts.sliders[padAxes[i]];
    latent[padAxes[i]] = low + share * (high - low);
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
  drawPadGround();
}

function buildMap() {
  element("show-map").hidden = size < 2;
  element("show-map").onclick = () => set({ map: !state.map && size > 1 });
  element("map-points").onchange = () => set({ mapPoints: element("map-points").checked });
  padLayers.push(drawMap);
  watch(["map", "mapPoints"], showMap);
  watch(["latent", "epoch"], decodeMap);
}
