// All training images' latents behind the points, where the page has them: no pictures, but each place can be decoded.

let cloudShown = null; // those of classes not hidden

function showCloud() {
  element("show-cloud").checked = state.cloud;
  const { latents, labels } = data.cloud;
  // They are the last epoch's: among the points of an earlier one they would mean nothing.
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

function buildCloud() {
  if (!data.cloud) return;
  element("cloud-label").hidden = false;
  element("cloud-count").textContent = `${facts.cloud.count.toLocaleString("en")} training latents`;
  element("show-cloud").onchange = () => set({ cloud: element("show-cloud").checked });
  plot.cloudHovered = showCloudHover;
  plot.cloudPressed = (i) => i !== null && goTo(cloudLatent(i));
  watch(["cloud", "epoch", "hidden"], showCloud);
}
