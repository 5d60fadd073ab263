// How well pictures are reconstructed: by their error, and by the share of their own variance that is lost, which a nearly
// black picture can't win by being black.

import { data } from "./data.js";
import { percent } from "./format.js";
import { state } from "./state.js";
import { allPoints } from "./visible.js";

// Squared error over variance: 0 is perfect, 1 is no better than the mean color. Null for a single color.
export const lostOf = (point, epoch) => {
  const variance = data.variances[point];
  return variance > 0 ? data.snapshots[epoch].errors[point] / variance : null;
};

export const lostText = (lost) => (lost === null ? "a single color" : percent(lost));

// Percentile: share of the points (with a variance) that lose less.
export function worseThan(lost, epoch) {
  const others = allPoints.map((point) => lostOf(point, epoch)).filter((other) => other !== null);
  return others.reduce((sum, other) => sum + (other < lost), 0) / others.length;
}

// Text: lost variance and percentile.
export const lostWords = (lost, epoch = state.epoch) =>
  lost === null
    ? "of a single color: no variance to lose"
    : `${percent(lost)}, more than ${percent(worseThan(lost, epoch))} of the points`;

// The variance of pixels, [pixels * channels], about the picture's mean color.
export function varianceOf(pixels, channels) {
  const means = Array.from({ length: channels }, () => 0);
  pixels.forEach((value, i) => (means[i % channels] += (value * channels) / pixels.length));
  return pixels.reduce((sum, value, i) => sum + (value - means[i % channels]) ** 2, 0) / pixels.length;
}
