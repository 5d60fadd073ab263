// Ranges of numbers: [low, high].

export const lengthOf = ([low, high]) => high - low;
export const middleOf = ([low, high]) => (low + high) / 2;
export const MARGIN = 0.03; // of an axis, on both sides of its points

export const widened = ([low, high]) => {
  const margin = high > low ? (high - low) * MARGIN : 0.5;
  return [low - margin, high + margin];
};

export function extent(values, start = 0, step = 1) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = start; i < values.length; i += step) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) high = values[i];
  }
  return [low, high];
}
