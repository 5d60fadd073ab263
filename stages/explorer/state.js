// The state of the page in one object; each part watches its keys.

import { facts, last, size } from "./facts.js";

export const state = {
  point: 0, // position of the chosen point
  epoch: last, // position among the epochs shown
  latent: [], // where the sliders are
  from: 0, // ends of the interpolation, positions of points
  to: Math.max(
    0,
    facts.labels.findIndex((label) => label !== facts.labels[0]),
  ),
  step: 0.5, // place between them
  line: false, // between them, on the plot
  hidden: new Set(), // labels
  color: "class", // or "error", "lost", "column:" and its name
  gridOrder: "index",
  gridSelected: true, // whether the grid shows the selection alone, where there is one
  group: null, // the label whose worst and best pictures are shown; null for all
  selected: [], // points
  selectedName: "", // what they have in common
  isolated: false, // whether only the selected are shown
  tool: null, // what a drag on the plot selects with: "box" or "lasso"; null turns it
  thumbnails: false, // pictures as points
  map: false, // of decoded pictures, under the XY slider
  mapPoints: true, // on it
  xy: size > 1 ? [0, 1] : [0], // dimensions of the XY slider, across and up
  cloud: true, // all training latents, where the page has them
  upload: null, // a picture from outside: {pixels, latent, error}
  view: null, // the plot's camera or ranges, as a list of numbers; null for the first view
  axes: null, // names of the plot's axes; null for the first ones
  proportions: size > 3, // whether the axes are drawn in true proportions
  shortcuts: true, // whether single keys act
  theme: "auto",
  printing: false, // the page is on its way to paper
};

export const fresh = { ...state };
const watchers = [];

export function watch(keys, act) {
  watchers.push({ keys, act });
}

export function set(changes) {
  Object.assign(state, changes);
  const changed = Object.keys(changes);
  for (const { keys, act } of watchers) if (keys.some((key) => changed.includes(key))) act();
}
