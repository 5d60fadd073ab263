// The training, epoch by epoch.

import { element } from "./dom.js";
import { facts, last } from "./facts.js";
import { player, stopPlaying } from "./players.js";
import { set, state, watch } from "./state.js";

const EPOCH_MS = 900;
let epochTimer = 0; // of the latest play alone

export const epochs = player("play-epochs", () => {
  clearTimeout(epochTimer);
  if (state.epoch === last) set({ epoch: 0 });
  const next = () => {
    if (!epochs.playing) return;
    if (state.epoch < last) set({ epoch: state.epoch + 1 });
    if (state.epoch === last) epochs.stop();
    else epochTimer = setTimeout(next, EPOCH_MS);
  };
  epochTimer = setTimeout(next, EPOCH_MS);
});

export function goToEpoch(position) {
  stopPlaying();
  set({ epoch: Math.min(last, Math.max(0, position)) });
}

function showEpoch() {
  const text = `${facts.epochs[state.epoch]} of ${facts.epochsTrained}`;
  element("epoch").value = state.epoch;
  element("epoch").setAttribute("aria-valuetext", text);
  element("epoch-text").textContent = text;
}

export function buildEpochs() {
  const slider = element("epoch");
  slider.max = last;
  slider.disabled = element("play-epochs").disabled = last === 0;
  slider.oninput = () => goToEpoch(slider.valueAsNumber);
  if (facts.epochs.length < facts.epochsTrained) {
    element("epochs-note").hidden = false;
    element("epochs-note").textContent =
      `Of ${facts.epochsTrained} epochs the page holds ${facts.epochs.length}: ${facts.epochs.join(", ")}.`;
  }
  watch(["epoch"], showEpoch);
}
