// Keyboard shortcuts.

import { isolateClass, toggleClass } from "./classes.js";
import { describe, element, make } from "./dom.js";
import { epochs, goToEpoch } from "./epochs.js";
import { last, present } from "./facts.js";
import { pan, resetView, turn, zoom } from "./gestures.js";
import { setEnds, steps } from "./interpolate.js";
import { goToPoint } from "./moves.js";
import { plotBox } from "./plot.js";
import { chooseNext } from "./point.js";
import { set, state, watch } from "./state.js";
import { nextTheme } from "./theme.js";

const KEYS = [
  ["n  p", "next, previous point"],
  ["f  l", "first and last end of the interpolation: the chosen point"],
  ["d", "decode the chosen point: move the sliders to it"],
  ["i", "play or pause the interpolation"],
  ["e", "play or pause the training"],
  ["[  ]", "previous, next epoch"],
  ["1 … 0", "hide or show a class; with Shift, show it alone"],
  ["arrows", "in the plot: turn it; with Shift, pan"],
  ["+  −", "zoom, at the chosen point"],
  ["r", "reset the view"],
  ["t", "theme: auto, light, dark"],
  ["/", "find a class, a file or an index"],
  ["?", "these keys"],
  ["Tab  arrows", "to each control; sliders move with the arrows"],
];

const ACTIONS = {
  n: () => chooseNext(1),
  p: () => chooseNext(-1),
  f: () => setEnds({ from: state.point }),
  l: () => setEnds({ to: state.point }),
  d: goToPoint,
  i: () => steps.toggle(),
  e: () => last > 0 && epochs.toggle(),
  "[": () => goToEpoch(state.epoch - 1),
  "]": () => goToEpoch(state.epoch + 1),
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(0.8),
  r: () => resetView(),
  t: () => nextTheme(),
  "/": () => element("search").focus(),
  "?": () => element("keys").showModal(),
};

const ARROWS = { ArrowLeft: [-0.12, 0], ArrowRight: [0.12, 0], ArrowUp: [0, 0.12], ArrowDown: [0, -0.12] };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || element("keys").open) return;
  if (event.target.matches("select, textarea, input:not([type=range], [type=checkbox])")) return;
  if (!state.shortcuts && event.target !== plotBox) return;
  const digit = /^Digit(\d)$/.exec(event.code);
  const label = digit && present[(Number(digit[1]) + 9) % 10];
  const arrow = event.target === plotBox && ARROWS[event.key];
  if (arrow) (event.shiftKey ? pan : turn)(...arrow);
  else if (ACTIONS[event.key]) ACTIONS[event.key]();
  else if (digit && label !== undefined) (event.shiftKey ? isolateClass : toggleClass)(label);
  else return;
  event.preventDefault();
}

export function buildKeys() {
  describe(
    element("keys-list"),
    KEYS.map(([keys, what]) => [what, ...keys.split("  ").map((key) => make("kbd", { textContent: key }))]),
  );
  const shortcuts = element("shortcuts");
  shortcuts.onchange = () => set({ shortcuts: shortcuts.checked });
  watch(["shortcuts"], () => (shortcuts.checked = state.shortcuts));
  shortcuts.checked = state.shortcuts;
  element("show-keys").onclick = () => element("keys").showModal();
  element("close-keys").onclick = () => element("keys").close();
  addEventListener("keydown", onKey);
}
