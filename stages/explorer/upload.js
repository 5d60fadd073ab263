// Encode a picture that is dropped, pasted, opened or drawn, and show it among the others. It is never uploaded.

import { decode, encode } from "./decoder.js";
import { element, make } from "./dom.js";
import { facts, last } from "./facts.js";
import { goTo } from "./moves.js";
import { nearestTo } from "./neighbors.js";
import { drawImage, drawPixels } from "./pictures.js";
import { plot } from "./plot.js";
import { neighborButtons } from "./point.js";
import { fitPicture, fromRange, readPixels } from "./preprocess.js";
import { project } from "./projection.js";
import { lostWords, varianceOf } from "./quality.js";
import { set, state, watch } from "./state.js";
import { themed } from "./theme.js";
import { drawXySlider, xyMarks, xyPlace } from "./xy_slider.js";

const uploadCanvas = element("upload");
const uploadContext = uploadCanvas.getContext("2d", { willReadFrequently: true });
const CANVAS_SIDE = 224; // of the canvas to draw on, at least, in its own pixels
const gray = (value) => `rgb(${value} ${value} ${value})`;

// What the canvas shows as the model takes it, in [0, 1], [height, width, channels].
const canvasPixels = () => toUnit(fitPicture(readPixels(uploadCanvas), facts.width, facts.height).values);
const toUnit = (values) => Float32Array.from(values, (value) => value / 255);

const squaredError = (a, b) => a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length;

function encodeUpload(pixels = canvasPixels()) {
  const latent = encode(pixels);
  const error = squaredError(pixels, decode(latent, last));
  set({ upload: { pixels, latent, error }, ...(state.epoch === last ? {} : { epoch: last }) });
}

function showUpload() {
  const { upload } = state;
  for (const id of ["upload-result", "upload-seen-figure", "upload-reconstruction-figure"])
    element(id).hidden = !upload;
  plot.redraw("marks");
  drawXySlider();
  if (!upload) return;
  drawPixels(element("upload-seen"), upload.pixels);
  drawPixels(element("upload-reconstruction"), decode(upload.latent, last));
  const variance = varianceOf(upload.pixels, facts.channels);
  const lost = lostWords(variance > 0 ? upload.error / variance : null, last);
  element("upload-text").textContent = `Error ${upload.error.toPrecision(3)}; variance lost: ${lost}.`;
  element("upload-neighbors").replaceChildren(...neighborButtons(nearestTo(upload.latent, last, () => true)));
}

// How bright the rim of a picture is on the whole, 0 to 255.
function rim({ values, width, height }) {
  const onRim = (i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return x === 0 || y === 0 || x === width - 1 || y === height - 1;
  };
  const { channels } = facts;
  const found = values.filter((_, i) => onRim(Math.floor(i / channels)));
  return found.reduce((sum, value) => sum + value, 0) / found.length;
}

// The ground that pictures here have: that of the first few.
function ground() {
  const canvas = make("canvas");
  const rims = facts.indices.slice(0, 40).map((_, point) => {
    drawImage(canvas, point);
    return rim(readPixels(canvas));
  });
  return rims.reduce((sum, value) => sum + value, 0) / rims.length;
}

const paint = { ground: 0, ink: 255 };

function clearUpload() {
  uploadContext.fillStyle = gray(paint.ground);
  uploadContext.fillRect(0, 0, uploadCanvas.width, uploadCanvas.height);
  element("upload-note").textContent = "";
}

// Gray pictures on a light ground become like those here, on a dark one, and the other way round.
function invertUpload() {
  uploadContext.save();
  uploadContext.globalCompositeOperation = "difference";
  uploadContext.fillStyle = "white";
  uploadContext.fillRect(0, 0, uploadCanvas.width, uploadCanvas.height);
  uploadContext.restore();
}

// Show a picture on the canvas, and encode it.
async function takePicture(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  } catch (error) {
    if (error.name !== "InvalidStateError" && error.name !== "EncodingError") throw error;
    element("upload-note").textContent = "This is no picture that the browser can read.";
    return;
  }
  const picture = readPixels(bitmap, fromRange);
  const whole = fitPicture(picture, uploadCanvas.width, uploadCanvas.height);
  drawPixels(uploadCanvas, toUnit(whole.values), whole);
  const unlike = facts.channels === 1 && Math.abs(rim(picture) - paint.ground) > 128;
  element("upload-note").textContent = unlike ? "Its ground is unlike that of the pictures here: Invert may help." : "";
  encodeUpload(toUnit(fitPicture(picture, facts.width, facts.height).values));
}

// Take the first file that came by a drop or from the clipboard, and show what comes of it.
async function takeFrom({ files: [file] }) {
  if (!file) return;
  await takePicture(file);
  element("upload-card").scrollIntoView({ block: "nearest" });
}

let brushAt = null; // where the brush was last, in the canvas's pixels
let encoding = false; // whether a frame that encodes is on its way

function drawOn(event) {
  const box = uploadCanvas.getBoundingClientRect();
  const place = [
    ((event.clientX - box.left) / box.width) * uploadCanvas.width,
    ((event.clientY - box.top) / box.height) * uploadCanvas.height,
  ];
  uploadContext.strokeStyle = facts.channels === 3 ? element("upload-color").value : gray(paint.ink);
  uploadContext.lineWidth = uploadCanvas.width * Number(element("upload-brush").value);
  uploadContext.lineCap = uploadContext.lineJoin = "round";
  uploadContext.beginPath();
  uploadContext.moveTo(...(brushAt ?? place));
  uploadContext.lineTo(...place);
  uploadContext.stroke();
  brushAt = place;
  if (encoding) return;
  encoding = true;
  requestAnimationFrame(() => {
    encoding = false;
    encodeUpload();
  });
}

// A star where the page's own picture lies, in the last epoch's space.
function drawUploadMark(context, projection) {
  if (!state.upload || state.epoch !== last) return;
  starAt(context, project(projection, plot.placeOfLatent(state.upload.latent)));
}

function starAt(context, [x, y]) {
  context.beginPath();
  for (let i = 0; i < 10; i++) {
    const [radius, angle] = [i % 2 ? 5 : 12, (i * Math.PI) / 5 - Math.PI / 2];
    context.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
  }
  context.closePath();
  context.fillStyle = themed("ink");
  context.strokeStyle = themed("surface");
  context.lineWidth = 2;
  context.stroke();
  context.fill();
}

export function buildUpload() {
  const scale = Math.ceil(CANVAS_SIDE / Math.max(facts.width, facts.height));
  uploadCanvas.width = scale * facts.width;
  uploadCanvas.height = scale * facts.height;
  uploadCanvas.style.aspectRatio = `${facts.width} / ${facts.height}`;
  paint.ground = ground() < 128 ? 0 : 255;
  paint.ink = 255 - paint.ground;
  element("upload-color-label").hidden = facts.channels === 1;
  element("upload-color").value = paint.ink ? "#ffffff" : "#000000";
  element("upload-invert").hidden = facts.channels === 3;
  uploadCanvas.onpointerdown = (event) => {
    uploadCanvas.setPointerCapture(event.pointerId);
    brushAt = null;
    drawOn(event);
  };
  uploadCanvas.onpointermove = (event) => uploadCanvas.hasPointerCapture(event.pointerId) && drawOn(event);
  element("upload-open").onclick = () => element("upload-file").click();
  element("upload-file").onchange = () => {
    const [file] = element("upload-file").files;
    if (file) takePicture(file);
    element("upload-file").value = "";
  };
  element("upload-clear").onclick = () => set({ upload: null });
  element("upload-invert").onclick = () => {
    invertUpload();
    encodeUpload(state.upload?.pixels.map((value) => 1 - value)); // those of a picture, not of its enlargement
    element("upload-note").textContent = "";
  };
  element("upload-decode").onclick = () => goTo(state.upload.latent, state.epoch === last ? {} : { epoch: last });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    takeFrom(event.dataTransfer);
  });
  addEventListener("paste", (event) => takeFrom(event.clipboardData));
  plot.layers.push(drawUploadMark);
  xyMarks.push((context) => state.upload && state.epoch === last && starAt(context, xyPlace(state.upload.latent)));
  watch(["upload"], () => state.upload || clearUpload());
  watch(["upload", "epoch"], showUpload);
}
