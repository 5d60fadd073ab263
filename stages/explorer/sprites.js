// Markers as pixels. A style (color and shape) is drawn once by the canvas, at each of a few fractions of a pixel, and then
// copied: with ten thousand of them the canvas's own drawImage takes longer than a frame.

import { ratio } from "./canvas.js";
import { SHAPES } from "./classes.js";
import { extent } from "./ranges.js";

const PHASES = 3; // fractions of a pixel, each way
const LARGEST = { size: 10.5, alpha: 1 };
const SMALLEST = { size: 3.4, alpha: 0.5 };

// Size and opacity of markers by their number: diameter in pixels, and 0 to 1.
export function markerSize(number, width) {
  const room = Math.min(1, Math.max(0.75, width / 700));
  const size = LARGEST.size * (200 / Math.max(200, number)) ** 0.28 * room;
  const alpha = (600 / Math.max(600, number)) ** 0.2;
  return { size: Math.max(SMALLEST.size, size), alpha: Math.max(SMALLEST.alpha, alpha) };
}

const scratch = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

export function drawShape(context, shape, x, y, size) {
  context.save();
  context.translate(x, y);
  context.scale(size / 10, size / 10); // the circle of 10 units in a box of 16
  context.translate(-8, -8);
  const path = new Path2D(SHAPES[shape]);
  context.fill(path);
  if (context.lineWidth > 0) context.stroke(path);
  context.restore();
}

// The pixels that a style touches: their places about its middle, what they add, and how much they leave of what is there.
function sprite({ color, shape, outline }, size, alpha, dx, dy) {
  const side = Math.ceil(size * 1.7) + 4;
  const half = side >> 1;
  const { canvas } = scratch;
  canvas.width = canvas.height = side; // this clears it
  scratch.fillStyle = color;
  scratch.strokeStyle = outline;
  scratch.lineJoin = "round";
  const rim = size > 7 * ratio();
  scratch.lineWidth = rim ? 1.4 : 0.001;
  drawShape(scratch, shape, half + dx, half + dy, size);
  const { data: source } = scratch.getImageData(0, 0, side, side);
  const pixels = [];
  for (let i = 0; i < side * side; i++) {
    const opacity = Math.round((source[4 * i + 3] * alpha * 256) / 255);
    if (opacity < 4) continue;
    const redBlue = (source[4 * i] | (source[4 * i + 2] << 16)) * opacity;
    const green = (source[4 * i + 1] << 8) * opacity;
    pixels.push([(i % side) - half, Math.floor(i / side) - half, redBlue, green, 256 - opacity]);
  }
  const column = (Kind, k) => Kind.from(pixels, (pixel) => pixel[k]);
  return {
    x: column(Int16Array, 0),
    y: column(Int16Array, 1),
    redBlue: column(Float64Array, 2),
    green: column(Float64Array, 3),
    rest: column(Uint16Array, 4),
    half,
  };
}

// Sprites of one size, made on demand.
export class Sprites {
  constructor(styles, size, alpha) {
    Object.assign(this, { styles, size, alpha, made: [] });
  }

  get(style, px, py) {
    const key = (style * PHASES + px) * PHASES + py;
    this.made[key] ??= sprite(this.styles[style], this.size, this.alpha, px / PHASES, py / PHASES);
    return this.made[key];
  }
}

// Blend markers into opaque pixels (Uint32Array, ABGR): those listed in `order`, the first `number`, back to front.
export function paintMarkers(pixels, width, height, { order, number, x, y, styles, sprites }) {
  for (let k = 0; k < number; k++) {
    const i = order[k];
    const left = Math.floor(x[i]);
    const top = Math.floor(y[i]);
    const mark = sprites.get(styles[i], Math.floor((x[i] - left) * PHASES), Math.floor((y[i] - top) * PHASES));
    const { half } = mark;
    if (left < -half || top < -half || left >= width + half || top >= height + half) continue;
    const inside = left >= half && top >= half && left < width - half && top < height - half;
    const { x: dx, y: dy, redBlue, green, rest } = mark;
    for (let p = 0; p < dx.length; p++) {
      const column = left + dx[p];
      const row = top + dy[p];
      if (!inside && (column < 0 || row < 0 || column >= width || row >= height)) continue;
      const at = row * width + column;
      const there = pixels[at];
      const keep = rest[p];
      pixels[at] =
        (0xff000000 |
          ((((there & 0xff00ff) * keep + redBlue[p]) >>> 8) & 0xff00ff) |
          ((((there & 0x00ff00) * keep + green[p]) >>> 8) & 0x00ff00)) >>>
        0;
    }
  }
}

// Dots of `side` pixels for a cloud too large for shapes; `colors`: redBlue and green of each style, at half opacity.
export function paintDots(pixels, width, height, { number, x, y, styles, colors, side }) {
  for (let i = 0; i < number; i++) {
    const left = Math.round(x[i] - side / 2);
    const top = Math.round(y[i] - side / 2);
    if (!(left >= 0 && top >= 0 && left + side <= width && top + side <= height)) continue;
    const { redBlue, green, keep } = colors[styles[i]];
    for (let row = 0, at = top * width + left; row < side; row++, at += width) {
      for (let p = at; p < at + side; p++) {
        const there = pixels[p];
        pixels[p] =
          (0xff000000 |
            ((((there & 0xff00ff) * keep + redBlue) >>> 8) & 0xff00ff) |
            ((((there & 0x00ff00) * keep + green) >>> 8) & 0x00ff00)) >>>
          0;
      }
    }
  }
}

export function dotColor(color, alpha) {
  scratch.canvas.width = scratch.canvas.height = 1;
  scratch.fillStyle = color;
  scratch.fillRect(0, 0, 1, 1);
  const [red, green, blue] = scratch.getImageData(0, 0, 1, 1).data;
  const opacity = Math.round(alpha * 256);
  return { redBlue: (red | (blue << 16)) * opacity, green: (green << 8) * opacity, keep: 256 - opacity };
}

const BUCKETS = 2048;

// The chosen among `number` points, from back to front, by counting sort: into `order`, and how many they are.
export function sortByDepth(depth, number, isShown, order) {
  const [low, high] = extent(depth.subarray(0, number));
  const scale = high > low ? (BUCKETS - 1) / (high - low) : 0;
  const starts = new Uint32Array(BUCKETS + 1);
  const bucket = (i) => ((depth[i] - low) * scale) | 0;
  for (let i = 0; i < number; i++) if (isShown[i]) starts[bucket(i) + 1]++;
  for (let b = 0; b < BUCKETS; b++) starts[b + 1] += starts[b];
  const shown = starts[BUCKETS];
  for (let i = 0; i < number; i++) if (isShown[i]) order[starts[bucket(i)]++] = i;
  return shown;
}
