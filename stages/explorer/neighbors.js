// Nearest points in the latent space.

import { data, latentOf } from "./data.js";
import { count, facts, size } from "./facts.js";
import { state } from "./state.js";
import { isShown } from "./visible.js";

// The points nearest to a latent in the space as the epoch had it, by Euclidean distance, nearest first, among those that
// are wanted: [{point, distance}].
export function nearestTo(latent, epoch, wanted) {
  const { latents } = data.snapshots[epoch];
  const list = [];
  for (let point = 0, at = 0; point < count; point++, at += size) {
    if (!wanted(point)) continue;
    let sum = 0;
    for (let i = 0; i < size; i++) sum += (latents[at + i] - latent[i]) ** 2;
    if (list.length === facts.neighbors && sum >= list.at(-1).sum) continue;
    const place = list.findIndex((each) => sum < each.sum);
    list.splice(place < 0 ? list.length : place, 0, { point, sum, distance: Math.sqrt(sum) });
    list.length = Math.min(list.length, facts.neighbors);
  }
  return list;
}

const remembered = { of: [], list: [] };

// Neighbors of a point among the visible points.
export const nearestOf = (point, epoch) =>
  nearestTo(latentOf(point, epoch), epoch, (other) => other !== point && isShown(other));

// The same with a cache.
export function neighborsOf(point, epoch) {
  const of = [point, epoch, state.hidden, state.isolated, state.selected];
  if (of.some((value, i) => value !== remembered.of[i]))
    Object.assign(remembered, { of, list: nearestOf(point, epoch) });
  return remembered.list;
}
