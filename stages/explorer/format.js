// Numbers as text.

export const grouped = (number) => number.toLocaleString("en");
export const percent = (share) => `${Math.round(100 * share)} %`;
export const short = (number) => Number(number.toPrecision(5));

export function figure(value) {
  if (Number.isInteger(value)) return grouped(value);
  return String(Number(value.toPrecision(Math.abs(value) < 0.1 ? 3 : 4)));
}

export function plain(value) {
  if (Array.isArray(value)) return value.join(", ");
  return value === null ? "none" : String(value);
}

export const readable = (value) => value.toFixed(2).replace("-", "−");
export const tickText = (value) => String(Number(value.toPrecision(6))).replace("-", "−");
