// Sliders: decode any latent, with one slider per dimension.

import { decode, decodingEpoch } from "./decoder.js";
import { element, make } from "./dom.js";
import { facts, last } from "./facts.js";
import { readable } from "./format.js";
import { goTo, goToPoint } from "./moves.js";
import { drawPixels } from "./pictures.js";
import { state, watch } from "./state.js";

const sliders = [];

function showDecodingEpoch() {
  const borrowed = decodingEpoch() !== state.epoch;
  const [shownEpoch, lastEpoch] = [facts.epochs[state.epoch], facts.epochs[last]];
  element("decode-epoch").hidden = !borrowed;
  element("decode-epoch").textContent = borrowed
    ? `Decoded as after epoch ${lastEpoch}: the page has no decoder of epoch ${shownEpoch}, and moving here goes to epoch ${lastEpoch}.`
    : "";
}

function buildSliders() {
  facts.sliders.forEach(([low, high], dimension) => {
    const id = `z${dimension + 1}`;
    const input = make("input", { type: "range", id, min: low, max: high, step: (high - low) / 400 });
    const output = make("output");
    output.htmlFor = id;
    input.oninput = () => goTo(state.latent.map((value, i) => (i === dimension ? input.valueAsNumber : value)));
    sliders.push({ input, output });
    element("sliders").append(make("label", { htmlFor: id, textContent: id }), input, output);
  });
}

function showDecoded() {
  drawPixels(element("decoded"), decode(state.latent));
  state.latent.forEach((value, dimension) => {
    const { input, output } = sliders[dimension];
    // Setting a slider rounds to its steps, which must not push the one that is being dragged.
    if (document.activeElement !== input || Math.abs(input.valueAsNumber - value) > Number(input.step))
      input.value = value;
    output.textContent = readable(value);
    input.setAttribute("aria-valuetext", readable(value));
  });
}

export function buildDecode() {
  buildSliders();
  element("decode-point").onclick = goToPoint;
  watch(["latent", "epoch"], showDecoded);
  watch(["epoch"], showDecodingEpoch);
}
