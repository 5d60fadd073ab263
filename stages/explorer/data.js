// What the page was given: facts (JSON), and packed numbers and pictures.

const element = (id) => document.getElementById(id);
const facts = JSON.parse(element("facts").textContent);
const count = facts.indices.length;
const last = facts.epochs.length - 1; // position of the last epoch among those shown
const size = facts.sliders.length; // of the latent

// Filled by `loadModel`. Snapshots: {latents: Float32Array [count * size], errors: Float32Array [count]}, one an epoch.
const data = { decoder: null, snapshots: [], images: null, sheets: [] };

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children); // strings become text nodes, so no text is ever read as HTML
  return node;
}

function bytes(id) {
  const node = element(id);
  const text = node.textContent;
  node.remove();
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

async function inflate(compressed) {
  const stream = new Blob([compressed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Float32 numbers that were stored as all their first bytes, then all their second ones, …
async function floats(id) {
  const planes = await inflate(bytes(id));
  const length = planes.length / 4;
  const mixed = new Uint8Array(planes.length);
  for (let plane = 0; plane < 4; plane++) {
    for (let i = 0; i < length; i++) mixed[4 * i + plane] = planes[plane * length + i];
  }
  return new Float32Array(mixed.buffer);
}

const sheet = (id) => createImageBitmap(new Blob([bytes(id)], { type: "image/png" }));

async function loadModel() {
  const snapshots = facts.epochs.map(async (_, position) => {
    const values = await floats(`epoch-${position}`);
    return { latents: values.subarray(0, count * size), errors: values.subarray(count * size) };
  });
  const sheets = facts.epochs.map((_, position) => (position < last ? sheet(`sheet-${position}`) : null));
  const [decoder, images] = await Promise.all([floats("decoder"), sheet("images")]);
  data.decoder = split(decoder);
  data.images = images;
  data.snapshots = await Promise.all(snapshots);
  data.sheets = await Promise.all(sheets);
}

function latentOf(point, epoch) {
  return Array.from(data.snapshots[epoch].latents.subarray(point * size, (point + 1) * size));
}

// Draw the image at `position` of a sheet.
function drawTile(canvas, bitmap, position) {
  const { width, height, columns } = facts;
  fit(canvas);
  const x = (position % columns) * width;
  const y = Math.floor(position / columns) * height;
  canvas.getContext("2d").drawImage(bitmap, x, y, width, height, 0, 0, width, height);
}

// Draw pixels in [0, 1].
function drawPixels(canvas, pixels) {
  fit(canvas);
  const context = canvas.getContext("2d");
  const image = context.createImageData(facts.width, facts.height);
  for (let i = 0; i < pixels.length; i++) {
    image.data.fill(Math.round(pixels[i] * 255), 4 * i, 4 * i + 3);
    image.data[4 * i + 3] = 255; // opaque
  }
  context.putImageData(image, 0, 0);
}

function fit(canvas) {
  if (canvas.width !== facts.width || canvas.height !== facts.height) {
    canvas.width = facts.width;
    canvas.height = facts.height;
  }
}

const drawImage = (canvas, point) => drawTile(canvas, data.images, point);

function drawReconstruction(canvas, point, epoch) {
  if (epoch === last) drawPixels(canvas, decode(latentOf(point, last)));
  else drawTile(canvas, data.sheets[epoch], point);
}

const className = (point) => facts.classes[facts.labels[point]];
const errorOf = (point, epoch) => data.snapshots[epoch].errors[point].toPrecision(3);
