// Save the plot with its legend, or a film of the training or of an interpolation.

import { FONT } from "./axes.js";
import { colorOf, SHAPES, symbolOf } from "./classes.js";
import { coloring } from "./coloring.js";
import { decode } from "./decoder.js";
import { element, make } from "./dom.js";
import { saveFile } from "./download.js";
import { facts, last, present } from "./facts.js";
import { between, slideTo } from "./moves.js";
import { drawPixels } from "./pictures.js";
import { stopPlaying } from "./players.js";
import { plot, plotSize } from "./plot.js";
import { set, state } from "./state.js";
import { themed } from "./theme.js";

const LINE = 20; // CSS pixels of a row of text
const EDGE = 12;

const RAMP = 120; // CSS pixels
const clipped = (text) => (text.length > 30 ? `${text.slice(0, 29)}…` : text);

// Entries of the legend in rows, as many as fit a width: [[{…, text, x, at}]], with the text `at` pixels beside x.
function inRows(context, width, entries) {
  const rows = [];
  let x = 0;
  for (const { text = "", ...entry } of entries) {
    const at = entry.colors ? RAMP : entry.color ? 20 : 0;
    const room = context.measureText(clipped(text)).width + at + 14;
    if (!rows.length || x + room > width) {
      rows.push([]);
      x = 0;
    }
    rows.at(-1).push({ ...entry, text: clipped(text), x, at });
    x += room;
  }
  return rows;
}

// The key of the colors, and the classes shown; where colors say something else, shapes alone tell classes apart.
function legendRows(context, width) {
  const key = coloring()?.key;
  const classes = present
    .filter((label) => !state.hidden.has(label))
    .map((label) => ({
      text: facts.classes[label],
      shape: SHAPES[symbolOf(label)],
      color: key ? themed("ink") : colorOf(label),
    }));
  return [...inRows(context, width, key ?? []), ...inRows(context, width, classes)];
}

// A canvas with the plot, a line of what it is, and its legend; {canvas, draw}, where draw() paints it as it is now.
function poster(pixels) {
  const { width, height } = plotSize;
  const canvas = make("canvas");
  const context = canvas.getContext("2d");
  context.font = FONT;
  const rows = legendRows(context, width - 2 * EDGE);
  const whole = [width, height + LINE * (rows.length + 1) + 2 * EDGE];
  [canvas.width, canvas.height] = whole.map((side) => 2 * Math.round((side * pixels) / 2)); // films want even sides
  const draw = () => {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = themed("surface");
    context.fillRect(0, 0, canvas.width, canvas.height);
    plot.copyTo(context, pixels);
    context.setTransform(pixels, 0, 0, pixels, 0, 0);
    context.font = FONT;
    context.textBaseline = "middle";
    context.fillStyle = themed("ink");
    const title = `${facts.dataset}: ${facts.indices.length} ${facts.split} images, epoch ${facts.epochs[state.epoch]}`;
    context.fillText(title, EDGE, height + EDGE + LINE / 2, width - 2 * EDGE);
    rows.forEach((row, k) => row.forEach((entry) => drawEntry(context, entry, height + EDGE + LINE * (k + 1.5))));
  };
  draw();
  return { canvas, draw, context };
}

function drawEntry(context, { text, x, at, shape = SHAPES.circle, color, colors }, y) {
  context.save();
  context.translate(EDGE + x, y);
  if (colors) {
    const ramp = context.createLinearGradient(0, 0, RAMP, 0);
    colors.forEach((each, i) => ramp.addColorStop(i / (colors.length - 1), each));
    context.fillStyle = ramp;
    context.fillRect(0, -5, RAMP, 10);
  } else if (color) {
    context.translate(0, -7);
    context.scale(14 / 16, 14 / 16);
    context.fillStyle = color;
    context.fill(new Path2D(shape));
  }
  context.restore();
  context.fillText(text, EDGE + x + at, y);
}

const PNG_PIXELS = 2; // for a pixel of the screen

function savePicture() {
  const { canvas } = poster(PNG_PIXELS * Math.min(2, devicePixelRatio || 1));
  return new Promise((done) => canvas.toBlob(done, "image/png")).then((blob) => saveFile(blob, "latents.png"));
}

const KINDS = ["video/mp4;codecs=avc1.42001f", "video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];
const FRAMES = 25; // a second
const GLIDE = 12; // frames from one epoch to the next
const WALK = 60; // frames of an interpolation
const HOLD = 25; // frames at both ends

// Record what `frames` shows, one after the other: each is painted anew, or a browser leaves out a picture that stays.
async function record(frames, name, extra = () => {}) {
  const kind = globalThis.MediaRecorder && KINDS.find((each) => MediaRecorder.isTypeSupported(each));
  if (!kind || !HTMLCanvasElement.prototype.captureStream) return savePicture();
  const { canvas, draw, context } = poster(Math.min(2, devicePixelRatio || 1));
  const recorder = new MediaRecorder(canvas.captureStream(FRAMES), { mimeType: kind, videoBitsPerSecond: 6_000_000 });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const ended = new Promise((done) => (recorder.onstop = done));
  recorder.start();
  for (const show of frames) {
    show();
    draw();
    extra(context);
    await new Promise((done) => setTimeout(done, 1000 / FRAMES));
  }
  recorder.stop();
  await ended;
  return saveFile(
    new Blob(parts, { type: kind.split(";")[0] }),
    `${name}.${kind.startsWith("video/mp4") ? "mp4" : "webm"}`,
  );
}

const held = (show) => Array.from({ length: HOLD }, () => show);

// Put the points between two epochs; the page is at `epoch`, which takes far longer to change.
function showBetween(epoch, from = epoch, to = epoch, share = 1) {
  if (state.epoch !== epoch) set({ epoch });
  plot.frameAt(from, to, share);
}

function trainingFrames() {
  const steps = facts.epochs.slice(1).flatMap((_, epoch) =>
    Array.from({ length: GLIDE }, (_, i) => () => {
      showBetween(epoch + Number(i >= GLIDE / 2), epoch, epoch + 1, (i + 1) / GLIDE);
    }),
  );
  return [...held(() => showBetween(0)), ...steps, ...held(() => showBetween(last))];
}

function walkFrames() {
  const at = (step) => () => slideTo(between(state.from, state.to, step), { step, line: true });
  return [...held(at(0)), ...Array.from({ length: WALK }, (_, i) => at((i + 1) / WALK)), ...held(at(1))];
}

// The decoded picture in the corner of a film.
function drawDecoded(context) {
  const tile = make("canvas");
  drawPixels(tile, decode(state.latent));
  const side = Math.min(plotSize.width, plotSize.height) / 3.5;
  context.imageSmoothingEnabled = false;
  context.drawImage(tile, EDGE, EDGE, side, (side * facts.height) / facts.width);
}

// One at a time; restores the view afterwards.
async function busy(id, act) {
  const button = element(id);
  if (button.disabled) return;
  const { epoch, latent, step, line } = state;
  const said = button.textContent;
  stopPlaying();
  button.disabled = true;
  button.textContent = "Recording …";
  try {
    await act();
  } finally {
    button.disabled = false;
    button.textContent = said;
    set({ epoch, latent, step, line });
  }
}

export function buildSave() {
  element("save-picture").onclick = savePicture;
  element("save-training").hidden = last === 0;
  element("save-training").onclick = () => busy("save-training", () => record(trainingFrames(), "training"));
  element("save-walk").onclick = () => busy("save-walk", () => record(walkFrames(), "interpolation", drawDecoded));
}
