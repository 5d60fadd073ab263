// Move to a latent.

import { latentOf } from "./data.js";
import { decodingEpoch } from "./decoder.js";
import { facts } from "./facts.js";
import { stopPlaying } from "./players.js";
import { set, state } from "./state.js";

export function within(value, dimension) {
  const [low, high] = facts.sliders[dimension];
  return Math.min(high, Math.max(low, value));
}

export const between = (from, to, step, epoch = decodingEpoch()) => {
  const ends = [latentOf(from, epoch), latentOf(to, epoch)];
  return ends[0].map((start, dimension) => start + step * (ends[1][dimension] - start));
};

// A move stops the player.
export function goTo(latent, rest = {}) {
  stopPlaying();
  slideTo(latent, rest);
}

// A move shows the epoch of the decoder: the current one if the page has its decoder.
export function slideTo(latent, rest) {
  const epoch = decodingEpoch();
  set({ latent: latent.map(within), ...(epoch === state.epoch ? {} : { epoch }), ...rest });
}

export const goToPoint = () => goTo(latentOf(state.point, decodingEpoch()));
