// What the page was given: facts (JSON), and packed numbers and pictures.

const element = (id) => document.getElementById(id);
const facts = JSON.parse(element("facts").textContent);
const count = facts.indices.length;
const last = facts.epochs.length - 1; // position of the last epoch among those shown
const size = facts.sliders.length; // of the latent

const labeled = facts.classes.length > 0;

// Filled by `loadModel`.
const data = {
  encoder: null, // of the last epoch
  decoders: [], // one an epoch; null where a sheet of reconstructions took less space
  sheets: [], // of reconstructions; null where there is a decoder
  snapshots: [], // {latents: Float32Array [count * size], errors: Float32Array [count]}, one an epoch
  images: null, // a sheet of them
  cloud: null, // {latents: Float32Array [N * size], labels: Uint16Array [N] or null}: all training images
};

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

// Numbers end to end, each run of them stored as all their lowest bytes, then all their second ones, …
async function unpack(id) {
  const stored = await inflate(bytes(id));
  let at = 0;
  const integers = (length, width) => {
    const numbers = new Int32Array(length);
    const unused = 32 - 8 * width;
    for (let place = 0; place < width; place++) {
      for (let i = 0; i < length; i++) numbers[i] |= stored[at++] << (8 * place + unused);
    }
    return unused ? numbers.map((number) => number >> unused) : numbers;
  };
  return { integers, floats: (length) => new Float32Array(integers(length, 4).buffer) };
}

// The tensors of operations: a matrix is whole numbers of `width` bytes, with a scale for each of its rows.
async function weights(id, operations, width) {
  const numbers = await unpack(id);
  const length = (shape) => shape.reduce((product, side) => product * side, 1);
  const shapes = operations.flatMap((operation) => operation.shapes);
  const floats = shapes.map(([rows]) => numbers.floats(rows));
  const tensors = shapes.map((shape, i) => (shape.length === 1 ? floats[i] : scaled(numbers.integers(length(shape), width), floats[i])));
  return operations.map(({ kind, shapes: own }) => ({ kind, tensors: tensors.splice(0, own.length) }));
}

function scaled(integers, scales) {
  const values = new Float32Array(integers.length);
  const columns = integers.length / scales.length;
  for (let row = 0, i = 0; row < scales.length; row++) {
    for (const end = i + columns; i < end; i++) values[i] = integers[i] * scales[row];
  }
  return values;
}

const sheet = (id) => createImageBitmap(new Blob([bytes(id)], { type: "image/webp" }));

async function loadModel() {
  const { encoder, decoders } = facts.weightBytes;
  const each = (load) => Promise.all(facts.epochs.map((_, position) => load(position, decoders[position])));
  const loads = [
    weights("encoder", facts.encoder, encoder),
    each((position, width) => (width ? weights(`decoder-${position}`, facts.decoder, width) : null)),
    each((position, width) => (width ? null : sheet(`sheet-${position}`))),
    each(loadSnapshot),
    sheet("images"),
    facts.cloud && loadCloud(),
  ];
  [data.encoder, data.decoders, data.sheets, data.snapshots, data.images, data.cloud] = await Promise.all(loads);
}

async function loadSnapshot(position) {
  const numbers = await unpack(`epoch-${position}`);
  return { latents: numbers.floats(count * size), errors: numbers.floats(count) };
}

async function loadCloud() {
  const numbers = await unpack("cloud");
  const scales = numbers.floats(size);
  const columns = scaled(numbers.integers(size * facts.cloud.count, facts.cloud.bytes), scales); // dimension by dimension
  const latents = columns.map((_, i) => columns[(i % size) * facts.cloud.count + Math.floor(i / size)]);
  return { latents, labels: labeled ? Uint16Array.from(numbers.integers(facts.cloud.count, 2)) : null };
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

// Draw pixels in [0, 1], [height, width, channels].
function drawPixels(canvas, pixels) {
  fit(canvas);
  const { width, height, channels } = facts;
  const image = new ImageData(width, height);
  for (let i = 0, at = 0; i < image.data.length; i += 4, at += channels) {
    for (let color = 0; color < 3; color++) image.data[i + color] = Math.round(255 * pixels[at + (color % channels)]);
    image.data[i + 3] = 255; // opaque
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function fit(canvas) {
  if (canvas.width !== facts.width || canvas.height !== facts.height) {
    canvas.width = facts.width;
    canvas.height = facts.height;
  }
}

const drawImage = (canvas, point) => drawTile(canvas, data.images, point);

function drawReconstruction(canvas, point, epoch) {
  if (hasDecoder(epoch)) drawPixels(canvas, decode(latentOf(point, epoch), epoch));
  else drawTile(canvas, data.sheets[epoch], point);
}

const className = (point) => facts.classes[facts.labels[point]] ?? "";
const errorOf = (point, epoch) => data.snapshots[epoch].errors[point].toPrecision(3);
