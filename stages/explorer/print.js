// Printing: light theme, own size, drawn before the browser prints.

import { drawCurve } from "./curve.js";
import { gridToPaper } from "./grid.js";
import { plot } from "./plot.js";
import { set, state } from "./state.js";
import { drawXyGround } from "./xy_slider.js";

function toPaper(printing) {
  if (state.printing === printing) return;
  set({ printing, theme: state.theme });
  plot.resize();
  plot.drawNow();
  drawXyGround();
  gridToPaper();
}

function measureAgain() {
  plot.resize();
  drawCurve();
  drawXyGround();
}

export function buildPrint() {
  matchMedia("print").addEventListener("change", ({ matches }) => toPaper(matches));
  addEventListener("beforeprint", () => toPaper(true));
  addEventListener("afterprint", () => {
    toPaper(false);
    requestAnimationFrame(measureAgain); // Firefox still has the layout of the paper
  });
}
