// Unpack the numbers and pictures of the page.

import { element } from "./dom.js";
import { count, facts, labeled, size } from "./facts.js";

// Filled by `loadModel`.
export const data = {
  encoder: null, // of the last epoch
  decoders: [], // one an epoch; null where a sheet of reconstructions took less space
  sheets: [], // of reconstructions; null where there is a decoder
  snapshots: [], // {latents: Float32Array [count * size], errors: Float32Array [count]}, one an epoch
  images: null, // a sheet of them
  variances: null, // Float32Array [count], of the pictures' pixels about their mean color
  files: [], // of the images, where they come from a folder; else none
  columns: {}, // by name, what metadata.csv says of the images: an array of texts
  cloud: null, // {latents: Float32Array [N * size], labels: Uint16Array [N] or null}: all training images
};

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

// Unpack numbers stored as byte planes: all lowest bytes, then all second bytes, …
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

// The tensors of operations: a matrix is whole numbers of `width` bytes, with a scale for each of its rows. In place of
// the shape of one that encoder and decoders share stands its name.
async function weights(id, operations, width, shared) {
  const numbers = await unpack(id);
  const length = (shape) => shape.reduce((product, side) => product * side, 1);
  const isShared = (shape) => typeof shape === "string";
  const shapes = operations.flatMap((operation) => operation.shapes);
  const floats = shapes.map((shape) => (isShared(shape) ? shared[shape] : numbers.floats(shape[0])));
  const tensors = shapes.map((shape, i) =>
    isShared(shape) || shape.length === 1 ? floats[i] : scaled(numbers.integers(length(shape), width), floats[i]),
  );
  return operations.map(({ shapes: own, ...operation }) => ({ ...operation, tensors: tensors.splice(0, own.length) }));
}

function scaled(integers, scales) {
  const values = new Float32Array(integers.length);
  const columns = integers.length / scales.length;
  for (let row = 0, i = 0; row < scales.length; row++) {
    for (const end = i + columns; i < end; i++) values[i] = integers[i] * scales[row];
  }
  return values;
}

// Principal components: `rows`, the encoder's first matrix, `columns`, its transpose, the decoders' last one, `mean`.
async function loadShared() {
  const [count, pixels] = facts.shared.shape;
  const numbers = await unpack("shared");
  const scales = numbers.floats(count);
  const mean = numbers.floats(pixels);
  const rows = scaled(numbers.integers(count * pixels, facts.shared.bytes), scales);
  const columns = new Float32Array(rows.length);
  for (let row = 0, i = 0; row < count; row++) {
    for (let pixel = 0; pixel < pixels; pixel++) columns[pixel * count + row] = rows[i++];
  }
  return { rows, columns, mean };
}

const sheet = (id) => createImageBitmap(new Blob([bytes(id)], { type: "image/webp" }));

export async function loadModel() {
  const { encoder, decoders } = facts.weightBytes;
  const shared = facts.shared && (await loadShared());
  const each = (load) => Promise.all(facts.epochs.map((_, position) => load(position, decoders[position])));
  const loads = [
    weights("encoder", facts.encoder, encoder, shared),
    each((position, width) => (width ? weights(`decoder-${position}`, facts.decoder, width, shared) : null)),
    each((position, width) => (width ? null : sheet(`sheet-${position}`))),
    each(loadSnapshot),
    sheet("images"),
    facts.cloud && loadCloud(),
    unpack("variances").then((numbers) => numbers.floats(count)),
    loadPictures(),
  ];
  [data.encoder, data.decoders, data.sheets, data.snapshots, data.images, data.cloud, data.variances] =
    await Promise.all(loads);
}

async function loadPictures() {
  Object.assign(data, JSON.parse(new TextDecoder().decode(await inflate(bytes("pictures")))));
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

export function latentOf(point, epoch) {
  return Array.from(data.snapshots[epoch].latents.subarray(point * size, (point + 1) * size));
}

export const errorOf = (point, epoch) => data.snapshots[epoch].errors[point].toPrecision(3);
