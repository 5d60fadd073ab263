// The forward pass: runs the operations of the model file.

import { data } from "./data.js";
import { last } from "./facts.js";
import { state } from "./state.js";

// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: within 1.5e-7.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

// weight [outputs, inputs], row by row, and bias [outputs]
function linear(x, _, weight, bias) {
  const y = Float32Array.from(bias);
  for (let row = 0, at = 0; row < y.length; row++) {
    let sum = 0;
    for (let column = 0; column < x.length; column++) sum += weight[at++] * x[column];
    y[row] += sum;
  }
  return y;
}

// Kinds of operations: from numbers, settings (with the shape for images) and tensors to numbers.
// The numbers of an image are [height, width, channels].
const OPERATIONS = {
  linear,
  relu: (x) => x.map((value) => Math.max(value, 0)),
  silu: (x) => x.map((value) => value * sigmoid(value)),
  gelu: (x) => x.map((value) => 0.5 * value * (1 + erf(value * Math.SQRT1_2))),
  sigmoid: (x) => x.map(sigmoid),
  hardsigmoid: (x) => x.map((value) => Math.min(Math.max(value / 6 + 0.5, 0), 1)),
};

const through = (operations, x) =>
  operations.reduce((y, { kind, tensors, ...settings }) => OPERATIONS[kind](y, settings, ...tensors), x);

// Whether the page has the decoder of an epoch.
export const hasDecoder = (epoch) => data.decoders[epoch] !== null;

// The epoch whose decoder is used: the one shown, or the last if the page lacks its decoder.
export const decodingEpoch = (epoch = state.epoch) => (hasDecoder(epoch) ? epoch : last);

// Decode a latent (array of `size` numbers) to pixels in [0, 1], [height, width, channels].
export const decode = (latent, epoch = decodingEpoch()) => through(data.decoders[epoch], Float32Array.from(latent));

// Encode pixels in [0, 1] with the last epoch's encoder.
export const encode = (pixels) => Array.from(through(data.encoder, Float32Array.from(pixels)));
