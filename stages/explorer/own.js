// A picture from outside: dropped, pasted, opened or drawn, it is encoded here and shown among the others. It leaves
// the page no way: there is nothing here that sends, and the page's policy would not let it.

const ownCanvas = element("own");
const ownContext = ownCanvas.getContext("2d", { willReadFrequently: true });
const CANVAS_SIDE = 224; // of the canvas to draw on, at least, in its own pixels

const grey = (value) => `rgb(${value} ${value} ${value})`;

// A source drawn at another size, halved as often as it goes, so that every pixel of it counts.
function resized(source, width, height) {
  let [w, h] = [source.width, source.height];
  let current = source;
  while (w > 2 * width || h > 2 * height) {
    [w, h] = [Math.max(width, Math.ceil(w / 2)), Math.max(height, Math.ceil(h / 2))];
    current = copied(current, w, h);
  }
  return copied(current, width, height);
}

function copied(source, width, height) {
  const canvas = make("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return canvas;
}

// The canvas's pixels as the model takes them, in [0, 1], [height, width, channels].
function ownPixels() {
  const { width, height, channels } = facts;
  const { data: rgba } = resized(ownCanvas, width, height).getContext("2d").getImageData(0, 0, width, height);
  const pixels = new Float32Array(width * height * channels);
  for (let i = 0; i < width * height; i++) {
    const color = [...rgba.subarray(4 * i, 4 * i + 3)];
    // ITU-R BT.601, as Pillow turns color to grey
    if (channels === 1) pixels[i] = (0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]) / 255;
    else color.forEach((value, channel) => (pixels[3 * i + channel] = value / 255));
  }
  return pixels;
}

const squaredError = (a, b) => a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length;

function encodeOwn() {
  const pixels = ownPixels();
  const latent = encode(pixels);
  const error = squaredError(pixels, decode(latent, last));
  set({ own: { pixels, latent, error }, ...(state.epoch === last ? {} : { epoch: last }) });
}

function showOwn() {
  const { own } = state;
  for (const id of ["own-result", "own-seen-figure", "own-reconstruction-figure"]) element(id).hidden = !own;
  plot.redraw("marks");
  drawPad();
  if (!own) return;
  drawPixels(element("own-seen"), own.pixels);
  drawPixels(element("own-reconstruction"), decode(own.latent, last));
  const { errors } = data.snapshots[last];
  const worse = errors.reduce((sum, error) => sum + (error < own.error), 0) / count;
  element("own-text").textContent = `Error ${own.error.toPrecision(3)}, larger than that of ${percent(worse)} of the points.`;
  element("own-neighbors").replaceChildren(...neighborButtons(nearestTo(own.latent, last, () => true)));
}

// How bright the rim of a picture is on the whole, 0 to 255.
function rim(canvas) {
  const { width, height } = canvas;
  const { data: rgba } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let sum = 0;
  let number = 0;
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    if (x > 0 && y > 0 && x < width - 1 && y < height - 1) continue;
    sum += rgba[4 * i] + rgba[4 * i + 1] + rgba[4 * i + 2];
    number += 3;
  }
  return sum / number;
}

// The ground that pictures here have: that of the first few.
function ground() {
  const canvas = make("canvas");
  canvas.getContext("2d", { willReadFrequently: true });
  const some = Math.min(count, 40);
  let sum = 0;
  for (let point = 0; point < some; point++) {
    drawImage(canvas, point);
    sum += rim(canvas);
  }
  return Math.round(sum / some);
}

const paint = { ground: 0, ink: 255 };

function clearOwn() {
  ownContext.fillStyle = grey(paint.ground);
  ownContext.fillRect(0, 0, ownCanvas.width, ownCanvas.height);
  element("own-note").textContent = "";
}

// Grey pictures on a light ground become like those here, on a dark one, and the other way round.
function invertOwn() {
  ownContext.save();
  ownContext.globalCompositeOperation = "difference";
  ownContext.fillStyle = "white";
  ownContext.fillRect(0, 0, ownCanvas.width, ownCanvas.height);
  ownContext.restore();
}

// Put a picture on the canvas, whole, in the middle, on the ground that pictures have here.
async function takePicture(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch (error) {
    if (error.name !== "InvalidStateError" && error.name !== "EncodingError") throw error;
    element("own-note").textContent = "This is no picture that the browser can read.";
    return;
  }
  const { width, height } = ownCanvas;
  const scale = Math.min(width / bitmap.width, height / bitmap.height);
  const [w, h] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(scale * side)));
  const opposite = facts.channels === 1 && Math.abs(rim(copied(bitmap, 64, 64)) - paint.ground) > 128;
  ownContext.fillStyle = grey(opposite ? 255 - paint.ground : paint.ground);
  ownContext.fillRect(0, 0, width, height);
  ownContext.drawImage(resized(bitmap, w, h), Math.round((width - w) / 2), Math.round((height - h) / 2));
  if (opposite) invertOwn();
  element("own-note").textContent = opposite ? "Inverted, since its ground is unlike that of the pictures here." : "";
  encodeOwn();
}

// Take the first file that came by a drop or from the clipboard, and show what comes of it.
async function takeFrom({ files: [file] }) {
  if (!file) return;
  await takePicture(file);
  element("own-card").scrollIntoView({ block: "nearest" });
}

let brushAt = null; // where the brush was last, in the canvas's pixels
let encoding = false; // whether a frame that encodes is on its way

function drawOn(event) {
  const box = ownCanvas.getBoundingClientRect();
  const place = [((event.clientX - box.left) / box.width) * ownCanvas.width, ((event.clientY - box.top) / box.height) * ownCanvas.height];
  ownContext.strokeStyle = facts.channels === 3 ? element("own-color").value : grey(paint.ink);
  ownContext.lineWidth = ownCanvas.width * Number(element("own-brush").value);
  ownContext.lineCap = ownContext.lineJoin = "round";
  ownContext.beginPath();
  ownContext.moveTo(...(brushAt ?? place));
  ownContext.lineTo(...place);
  ownContext.stroke();
  brushAt = place;
  if (encoding) return;
  encoding = true;
  requestAnimationFrame(() => {
    encoding = false;
    encodeOwn();
  });
}

// A star where the page's own picture lies, in the last epoch's space.
function drawOwnMark(context, lens) {
  if (!state.own || state.epoch !== last) return;
  starAt(context, project(lens, plot.placeOfLatent(state.own.latent)));
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

function buildOwn() {
  const scale = Math.ceil(CANVAS_SIDE / Math.max(facts.width, facts.height));
  ownCanvas.width = scale * facts.width;
  ownCanvas.height = scale * facts.height;
  ownCanvas.style.aspectRatio = `${facts.width} / ${facts.height}`;
  paint.ground = ground() < 128 ? 0 : 255;
  paint.ink = 255 - paint.ground;
  element("own-color-label").hidden = facts.channels === 1;
  element("own-color").value = paint.ink ? "#ffffff" : "#000000";
  element("own-invert").hidden = facts.channels === 3;
  ownCanvas.onpointerdown = (event) => {
    ownCanvas.setPointerCapture(event.pointerId);
    brushAt = null;
    drawOn(event);
  };
  ownCanvas.onpointermove = (event) => ownCanvas.hasPointerCapture(event.pointerId) && drawOn(event);
  element("own-open").onclick = () => element("own-file").click();
  element("own-file").onchange = () => {
    const [file] = element("own-file").files;
    if (file) takePicture(file);
    element("own-file").value = "";
  };
  element("own-clear").onclick = () => set({ own: null });
  element("own-invert").onclick = () => {
    invertOwn();
    encodeOwn();
  };
  element("own-decode").onclick = () => goTo(state.own.latent, state.epoch === last ? {} : { epoch: last });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    takeFrom(event.dataTransfer);
  });
  addEventListener("paste", (event) => takeFrom(event.clipboardData));
  plot.layers.push(drawOwnMark);
  padMarks.push((context) => state.own && state.epoch === last && starAt(context, padPlace(state.own.latent)));
  watch(["own"], () => state.own || clearOwn());
  watch(["own", "epoch"], showOwn);
}
