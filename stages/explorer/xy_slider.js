// The XY slider: two latent dimensions of the sliders', to be dragged at once, with the points where the epoch has them.

import { ratio, stroke } from "./canvas.js";
import { data } from "./data.js";
import { decodingEpoch } from "./decoder.js";
import { element, make } from "./dom.js";
import { count, facts, size } from "./facts.js";
import { goTo } from "./moves.js";
import { styles } from "./plot.js";
import { markerSize, paintMarkers, Sprites } from "./sprites.js";
import { set, state, watch } from "./state.js";
import { themed } from "./theme.js";
import { isShown } from "./visible.js";

export const xySlider = element("xy-slider");
export const xyContext = xySlider.getContext("2d", { willReadFrequently: true });
const xyGround = make("canvas").getContext("2d", { willReadFrequently: true }); // all but the cursor
const xySide = () => xySlider.clientWidth;

export function xyPlace(latent) {
  return state.xy.map((dimension, i) => {
    const [low, high] = facts.sliders[dimension];
    const share = (latent[dimension] - low) / (high - low);
    return (i === 0 ? share : 1 - share) * xySide();
  });
}

// Functions (context, side in pixels) that draw under the points.
export const xyLayers = [];

export const xyMarks = []; // and what lies over the cursor

// Null, or a function (kind, event) that gets a drag in the place of the cursor: kind is start, move, end or cancel.
export const xyHand = { drag: null };

let xySprites = null;

export function drawXyGround() {
  const side = xySide();
  if (!side) return;
  const pixels = Math.round(side * ratio());
  xySlider.width = xySlider.height = xyGround.canvas.width = xyGround.canvas.height = pixels;
  xyGround.setTransform(ratio(), 0, 0, ratio(), 0, 0);
  xyGround.fillStyle = themed("surface");
  xyGround.fillRect(0, 0, side, side);
  for (const draw of xyLayers) draw(xyGround, side);
  if (!state.map || state.mapPoints) drawXyPoints(pixels);
  drawXySlider();
}

function drawXyPoints(pixels) {
  const { latents } = data.snapshots[decodingEpoch()];
  const [x, y] = [new Float32Array(count), new Float32Array(count)];
  const order = new Uint32Array(count);
  let number = 0;
  const [a, b] = state.xy;
  const [[lowA, highA], [lowB, highB]] = state.xy.map((dimension) => facts.sliders[dimension]);
  for (let point = 0; point < count; point++) {
    if (!isShown(point)) continue;
    x[point] = ((latents[point * size + a] - lowA) / (highA - lowA)) * pixels;
    y[point] = (1 - (latents[point * size + b] - lowB) / (highB - lowB)) * pixels;
    order[number++] = point;
  }
  const { size: across, alpha } = markerSize(number, 0);
  const side = across * 0.8 * ratio();
  if (!xySprites || xySprites.styles !== styles.list || xySprites.size !== side)
    xySprites = new Sprites(styles.list, side, alpha);
  const image = xyGround.getImageData(0, 0, pixels, pixels);
  paintMarkers(new Uint32Array(image.data.buffer), pixels, pixels, {
    order,
    number,
    x,
    y,
    styles: styles.of,
    sprites: xySprites,
  });
  xyGround.putImageData(image, 0, 0);
}

export function drawXySlider() {
  const side = xySide();
  if (size < 2 || !side) return;
  const context = xyContext;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(xyGround.canvas, 0, 0);
  context.setTransform(ratio(), 0, 0, ratio(), 0, 0);
  const [x, y] = xyPlace(state.latent);
  stroke(context, themed("muted"), 1, () => {
    context.moveTo(x, 0);
    context.lineTo(x, side);
    context.moveTo(0, y);
    context.lineTo(side, y);
  });
  context.fillStyle = themed("ink");
  context.strokeStyle = themed("surface");
  context.lineWidth = 2;
  context.beginPath();
  context.arc(x, y, 7, 0, 2 * Math.PI);
  context.fill();
  context.stroke();
  for (const draw of xyMarks) draw(context, side);
}

function dragXySlider(event) {
  const box = xySlider.getBoundingClientRect();
  const shares = [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height];
  const latent = [...state.latent];
  state.xy.forEach((dimension, i) => {
    const [low, high] = facts.sliders[dimension];
    latent[dimension] = low + Math.min(1, Math.max(0, shares[i])) * (high - low);
  });
  goTo(latent);
}

export function buildXySlider() {
  if (size < 2) {
    element("xy-figure").hidden = true;
    return;
  }
  const drag = (kind, event) => (xyHand.drag ? xyHand.drag(kind, event) : dragXySlider(event));
  xySlider.onpointerdown = (event) => {
    xySlider.setPointerCapture(event.pointerId);
    drag("start", event);
  };
  xySlider.onpointermove = (event) => xySlider.hasPointerCapture(event.pointerId) && drag("move", event);
  xySlider.onpointerup = (event) => xyHand.drag?.("end", event);
  xySlider.onpointercancel = (event) => xyHand.drag?.("cancel", event);
  if (size > 2) buildXyAxes();
  new ResizeObserver(() => state.printing || drawXyGround()).observe(xySlider);
  watch(["hidden", "theme", "epoch", "selected", "isolated"], drawXyGround);
  watch(["latent"], drawXySlider);
  watch(["xy"], showXyAxes);
}

function showXyAxes() {
  element("xy-caption").textContent = `z${state.xy[0] + 1} across, z${state.xy[1] + 1} up`;
  drawXyGround();
}

function buildXyAxes() {
  const selects = ["Across", "Up"].map((name, i) => {
    const select = make("select", { id: `xy-${name.toLowerCase()}` });
    select.append(
      ...facts.sliders.map((_, dimension) => make("option", { value: dimension, textContent: `z${dimension + 1}` })),
    );
    select.onchange = () => {
      const wanted = Number(select.value);
      const other = wanted === state.xy[1 - i] ? state.xy[i] : state.xy[1 - i]; // the two swap
      set({ xy: i === 0 ? [wanted, other] : [other, wanted] });
    };
    element("xy-axes").append(make("label", {}, name, select));
    return select;
  });
  watch(["xy"], () => selects.forEach((select, i) => (select.value = state.xy[i])));
}
