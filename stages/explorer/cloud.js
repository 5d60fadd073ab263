// The cloud of all training latents behind the points, if the page has it; its dots have no pictures but can be decoded.

import { swatch } from "./classes.js";
import { data } from "./data.js";
import { decode } from "./decoder.js";
import { element } from "./dom.js";
import { facts, last, size } from "./facts.js";
import { grouped } from "./format.js";
import { showCard } from "./hover.js";
import { goTo } from "./moves.js";
import { drawPixels } from "./pictures.js";
import { plot } from "./plot.js";
import { set, state, watch } from "./state.js";

let cloudShown = null; // those of classes not hidden

function showCloud() {
  element("show-cloud").checked = state.cloud;
  const { latents, labels } = data.cloud;
  // They belong to the last epoch and are meaningless among the points of another.
  if (!state.cloud || state.epoch !== last) cloudShown = null;
  else if (!labels || !state.hidden.size) cloudShown = data.cloud;
  else {
    const kept = [...labels.keys()].filter((i) => !state.hidden.has(labels[i]));
    const row = (i) => Array.from(latents.subarray(i * size, (i + 1) * size));
    cloudShown = { latents: Float32Array.from(kept.flatMap(row)), labels: Uint16Array.from(kept, (i) => labels[i]) };
  }
  plot.setCloud(cloudShown);
}

const cloudLatent = (i) => Array.from(cloudShown.latents.subarray(i * size, (i + 1) * size));

function showCloudHover(i) {
  if (i === null) return;
  drawPixels(element("hover-reconstruction"), decode(cloudLatent(i), last));
  const label = cloudShown.labels?.[i];
  const name = label === undefined ? [] : [swatch(label), facts.classes[label]];
  showCard(null, name, "a training latent, decoded");
}

export function buildCloud() {
  if (!data.cloud) return;
  element("cloud-label").hidden = false;
  element("cloud-count").textContent = `${grouped(facts.cloud.count)} training latents`;
  element("show-cloud").onchange = () => set({ cloud: element("show-cloud").checked });
  plot.cloudHovered = showCloudHover;
  plot.cloudPressed = (i) => i !== null && goTo(cloudLatent(i));
  watch(["cloud", "epoch", "hidden"], showCloud);
}
