// Interpolate: the straight line between two points, decoded.

import { decode } from "./decoder.js";
import { element, make } from "./dom.js";
import { facts } from "./facts.js";
import { between, goTo, slideTo } from "./moves.js";
import { nameOf } from "./names.js";
import { drawImage, drawPixels } from "./pictures.js";
import { calm, player } from "./players.js";
import { choose, marksOf } from "./point.js";
import { set, state, watch } from "./state.js";

const stepButtons = [];
const walk = (step) => goTo(between(state.from, state.to, step), { step, line: true });

export function setEnds(ends) {
  const { from, to, step } = { ...state, ...ends };
  goTo(between(from, to, step), { from, to, line: true });
}

function showEnds() {
  for (const [id, name] of [
    ["from", "Start"],
    ["to", "End"],
  ]) {
    const point = state[id];
    const canvas = make("canvas", { className: "picture" });
    drawImage(canvas, point);
    element(id).replaceChildren(canvas, make("span", {}, ...marksOf(point), name));
    element(id).title = `${name}: ${nameOf(point)}`;
    element(id).setAttribute("aria-label", `${element(id).title}; choose this point`);
    element(id).dataset.point = point;
  }
  stepButtons.forEach(({ canvas, step }) => drawPixels(canvas, decode(between(state.from, state.to, step))));
}

function showStep() {
  element("step").value = state.step;
  const percent = `${Math.round(100 * state.step)} %`;
  element("step-text").textContent = percent;
  element("step").setAttribute("aria-valuetext", `${percent} of the way`);
  const nearest = Math.round(state.step * (stepButtons.length - 1));
  stepButtons.forEach(({ button }, i) => button.setAttribute("aria-current", String(i === nearest)));
}

export function buildInterpolate() {
  for (let i = 0; i < facts.steps; i++) {
    const step = i / (facts.steps - 1);
    const canvas = make("canvas", { className: "picture" });
    const button = make("button", { type: "button", className: "thumbnail" }, canvas);
    button.setAttribute("aria-label", `${Math.round(100 * step)} % of the way`);
    button.onclick = () => walk(step);
    stepButtons.push({ button, canvas, step });
  }
  element("steps").append(...stepButtons.map(({ button }) => button));
  element("set-from").onclick = () => setEnds({ from: state.point });
  element("set-to").onclick = () => setEnds({ to: state.point });
  for (const id of ["from", "to"]) element(id).onclick = () => choose(state[id]);
  element("step").oninput = () => walk(element("step").valueAsNumber);
  watch(["from", "to", "epoch"], showEnds);
  watch(["step"], showStep);
  const line = element("show-line");
  line.onchange = () => set({ line: line.checked });
  watch(["line"], () => (line.checked = state.line));
}

const WALK_MS = 3000;
const PAUSE_MS = 800; // between the images of the strip, for who wants less motion

// Play back and forth until stopped.
export const steps = player("play-steps", () => {
  const turn = {}; // of this play: one that was stopped and begun again has another
  steps.turn = turn;
  const goes = () => steps.playing && steps.turn === turn;
  const to = (step) => slideTo(between(state.from, state.to, step), { step, line: true });
  const begin = performance.now() - WALK_MS * (state.step === 1 ? 0 : state.step);
  const frame = () => {
    if (!goes()) return;
    const rest = ((performance.now() - begin) / WALK_MS) % 2;
    to(rest <= 1 ? rest : 2 - rest);
    requestAnimationFrame(frame);
  };
  const images = facts.steps - 1;
  let image = Math.round(state.step * images);
  const jump = () => {
    if (!goes()) return;
    image = (image + 1) % (2 * images);
    to((image <= images ? image : 2 * images - image) / images);
    setTimeout(jump, PAUSE_MS);
  };
  if (calm.matches) setTimeout(jump, PAUSE_MS);
  else requestAnimationFrame(frame);
});
