// Drawing functions of the plot and the XY slider.

import { state } from "./state.js";
import { themed } from "./theme.js";

const PAPER_RATIO = 3; // 288 dots an inch

// Canvas pixels per CSS pixel.
let given = null;
export const ratio = () => given ?? (state.printing ? PAPER_RATIO : Math.min(2, devicePixelRatio || 1));

// Call `draw` with another number of canvas pixels per CSS pixel.
export function withRatio(pixels, draw) {
  given = pixels;
  try {
    return draw();
  } finally {
    given = null;
  }
}

export function line(context, from, to) {
  context.beginPath();
  context.moveTo(from[0], from[1]);
  context.lineTo(to[0], to[1]);
  context.stroke();
}

// Lines over the points have an outline in the background color.
export function stroke(context, color, width, draw) {
  for (const [style, thick] of [
    [themed("surface"), width + 2.5],
    [color, width],
  ]) {
    context.strokeStyle = style;
    context.lineWidth = thick;
    context.beginPath();
    draw();
    context.stroke();
  }
}
