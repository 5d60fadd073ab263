// The plot's axes.
//
// An axis is a direction in the latent space: {name, title, weights [size], shift, range}; a latent's place on it is
// weights · latent + shift.

import { data } from "./data.js";
import { count, facts, last, size } from "./facts.js";
import { extent, widened } from "./ranges.js";
import { state } from "./state.js";

export const dimensions = Math.min(3, size); // of the plot
export const flat = dimensions < 3;
export const lanes = dimensions === 1; // one latent dimension leaves the other axis to the classes
export const axisNames = [...(facts.pca ? ["pc1", "pc2", "pc3"] : []), ...facts.sliders.map((_, i) => `z${i + 1}`)];
export const firstAxes = axisNames.slice(0, dimensions);
const knownAxes = new Map();

// The ranges are those of the last epoch's points, so that the axes don't change while the training plays.
function axisOf(name) {
  if (!knownAxes.has(name)) {
    const axis = name.startsWith("pc") ? component(name) : latentAxis(name);
    const { latents } = data.snapshots[last];
    knownAxes.set(name, { ...axis, name, range: widened(extent(columnOf(axis, latents, count))) });
  }
  return knownAxes.get(name);
}

function component(name) {
  const i = Number(name.slice(2)) - 1;
  const weights = facts.pca.components[i];
  return {
    title: facts.componentTitles[i],
    weights,
    shift: -weights.reduce((sum, weight, k) => sum + weight * facts.pca.mean[k], 0),
  };
}

function latentAxis(name) {
  const dimension = Number(name.slice(1)) - 1;
  return { title: name, weights: facts.sliders.map((_, i) => Number(i === dimension)), shift: 0, dimension };
}

// Coordinates of `number` latents on an axis: Float32Array [number].
function columnOf({ weights, shift, dimension }, latents, number) {
  const column = new Float32Array(number);
  for (let i = 0; i < number; i++) {
    let sum = shift;
    if (dimension !== undefined) sum = latents[i * size + dimension];
    else for (let k = 0; k < size; k++) sum += weights[k] * latents[i * size + k];
    column[i] = sum;
  }
  return column;
}

export const laneAxis = { name: "lanes", title: "", range: [-0.5, Math.max(1, facts.classes.length) - 0.5] };
export const shownAxes = () => [...(state.axes ?? firstAxes).map(axisOf), ...(lanes ? [laneAxis] : [])];

// Coordinates of `number` latents on the axes: Float32Array [number * 3].
export function placesOf(latents, number, labelAt) {
  const places = new Float32Array(number * 3);
  (state.axes ?? firstAxes).map(axisOf).forEach((axis, k) => {
    columnOf(axis, latents, number).forEach((value, i) => (places[3 * i + k] = value));
  });
  if (lanes) for (let i = 0; i < number; i++) places[3 * i + 1] = labelAt(i);
  return places;
}
