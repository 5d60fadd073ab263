// A picture from outside, brought to what the model takes as `download` brings its pictures there: its range of values,
// the background where it is transparent, gray or RGB, the size, and the background around it.

import { facts } from "./facts.js";

// The pixels of a canvas or a bitmap, their values through `level`: {values: Uint8ClampedArray [height * width * channels], width, height}.
export function readPixels(source, level = (value) => value) {
  const { width, height } = source;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(source, 0, 0);
  return colored(context.getImageData(0, 0, width, height).data, width, height, level);
}

// RGBA over the background, in the model's colors.
function colored(rgba, width, height, level) {
  const { background } = facts.preprocessing;
  const { channels } = facts;
  const values = new Uint8ClampedArray(width * height * channels);
  const color = [0, 0, 0];
  for (let i = 0, at = 0; i < rgba.length; i += 4, at += channels) {
    const opacity = rgba[i + 3] / 255;
    for (let k = 0; k < 3; k++) color[k] = Math.round(opacity * level(rgba[i + k]) + (1 - opacity) * background[k]);
    if (channels === 1) values[at] = grayOf(color);
    else values.set(color, at);
  }
  return { values, width, height };
}

// ITU-R BT.601, as Pillow has it.
export const grayOf = ([red, green, blue]) => (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;

// A browser gives 8 bits of whatever type a picture's values are: as a share of the type's white.
export function fromRange(value) {
  const { range } = facts.preprocessing;
  if (!range) return value;
  const { black, white, whiteOfType } = range;
  return Math.min(255, Math.max(0, Math.round((255 * ((value / 255) * whiteOfType - black)) / (white - black))));
}

// Fitted into a height and a width: {values, width, height} of that size.
export function fitPicture(picture, width, height) {
  const { fit, background } = facts.preprocessing;
  const { channels } = facts;
  if (fit === "stretch") return resample(picture, width, height);
  const scales = [width / picture.width, height / picture.height];
  if (fit === "crop") {
    const scale = Math.max(...scales);
    const [w, h] = [width / scale, height / scale];
    return resample(picture, width, height, [(picture.width - w) / 2, (picture.height - h) / 2, w, h]);
  }
  const scale = Math.min(...scales);
  const inner = resample(picture, evenRound(picture.width * scale), evenRound(picture.height * scale));
  const values = new Uint8ClampedArray(width * height * channels);
  const ground = channels === 1 ? [grayOf(background)] : background;
  for (let i = 0; i < values.length; i++) values[i] = ground[i % channels];
  const [left, top] = [(width - inner.width) >> 1, (height - inner.height) >> 1];
  for (let row = 0; row < inner.height; row++) {
    const part = inner.values.subarray(row * inner.width * channels, (row + 1) * inner.width * channels);
    values.set(part, ((top + row) * width + left) * channels);
  }
  return { values, width, height };
}

// As Python rounds, halves to even; 1 at least.
function evenRound(value) {
  const down = Math.floor(value);
  const rest = value - down;
  return Math.max(1, rest === 0.5 ? down + (down % 2) : Math.round(value));
}

// By a triangle as wide as a pixel of the result, in each direction; of a box [left, top, width, height] alone.
function resample(picture, width, height, [left, top, w, h] = [0, 0, picture.width, picture.height]) {
  const across = weightsAlong(picture.width, width, left, w);
  const down = weightsAlong(picture.height, height, top, h);
  const { channels } = facts;
  const half = new Uint8ClampedArray(picture.height * width * channels);
  for (let y = 0; y < picture.height; y++) {
    mixPixels(picture.values, y * picture.width * channels, channels, across, half, y * width * channels, channels);
  }
  const values = new Uint8ClampedArray(height * width * channels);
  for (let x = 0; x < width; x++)
    mixPixels(half, x * channels, width * channels, down, values, x * channels, width * channels);
  return { values, width, height };
}

// For each of `to` pixels: which of `from` it is made of, and how much of each: [first, weights].
function weightsAlong(from, to, start, length) {
  const scale = length / to;
  const support = Math.max(1, scale);
  return Array.from({ length: to }, (_, i) => {
    const center = start + (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(center - support + 0.5));
    const end = Math.min(from, Math.floor(center + support + 0.5));
    const weights = Array.from({ length: end - first }, (_, k) =>
      Math.max(0, 1 - Math.abs(first + k + 0.5 - center) / support),
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return [first, weights.map((weight) => weight / sum)];
  });
}

// One line of pixels through such weights; `step` apart, from `start` on.
function mixPixels(source, start, step, weights, target, at, stride) {
  weights.forEach(([first, shares], i) => {
    for (let channel = 0; channel < facts.channels; channel++) {
      let sum = 0;
      shares.forEach((share, k) => (sum += share * source[start + (first + k) * step + channel]));
      target[at + i * stride + channel] = sum; // rounded and clamped
    }
  });
}
