// The decoder's forward pass, as the model's file has it: the activation between layers, a sigmoid at the end.

function split(weights) {
  let start = 0;
  const take = (length) => weights.subarray(start, (start += length));
  return facts.decoderShapes.map(([outputs, inputs]) => ({
    outputs,
    inputs,
    weight: take(outputs * inputs), // [outputs, inputs], row by row
    bias: take(outputs),
  }));
}

// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: within 1.5e-7.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const activate = {
  relu: (x) => Math.max(x, 0),
  silu: (x) => x * sigmoid(x),
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
}[facts.activation];

function through({ outputs, inputs, weight, bias }, x, activation) {
  const y = new Float64Array(outputs);
  for (let row = 0, at = 0; row < outputs; row++) {
    let sum = bias[row];
    for (let column = 0; column < inputs; column++) sum += weight[at++] * x[column];
    y[row] = activation(sum);
  }
  return y;
}

// Whether the page holds the decoder of an epoch.
const hasDecoder = (epoch) => epoch === last;

// A latent (array of `size` numbers) to pixels in [0, 1], height * width of them, by the decoder of an epoch that has one.
function decode(latent, epoch = decodingEpoch()) {
  return data.decoder.reduce(
    (x, layer, position) => through(layer, x, position < data.decoder.length - 1 ? activate : sigmoid),
    latent,
  );
}
