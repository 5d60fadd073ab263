// Store the view in the address.

import { copyText } from "./clipboard.js";
import { colorNames } from "./coloring.js";
import { decodingEpoch } from "./decoder.js";
import { element } from "./dom.js";
import { facts, size } from "./facts.js";
import { short } from "./format.js";
import { orders } from "./grid.js";
import { axisNames, dimensions, firstAxes, flat } from "./latent_axes.js";
import { between, within } from "./moves.js";
import { fresh, state, watch } from "./state.js";

// A list of as many finite numbers, or null.
function numbers(text, length) {
  const list = text.split(",").map((part) => (part.trim() ? Number(part) : NaN));
  return list.length === length && list.every(Number.isFinite) ? list : null;
}

// Distinct known names, or null.
function names(text, known, number) {
  const list = text.split(",");
  const fit = list.length === number && new Set(list).size === number && list.every((name) => known.includes(name));
  return fit ? list : null;
}

// Points as their images' indices with runs as "3-7", or as a bit each in base64url, whichever is shorter.
function writePoints(points) {
  const sorted = [...points].sort((a, b) => a - b);
  const runs = [];
  for (const point of sorted) {
    const run = runs.at(-1);
    if (run && run[1] === point - 1) run[1] = point;
    else runs.push([point, point]);
  }
  const list = runs.map(([from, to]) => [...new Set([from, to])].map((point) => facts.indices[point]).join("-")).join();
  const bits = new Uint8Array(Math.ceil((sorted.at(-1) + 1) / 8));
  for (const point of sorted) bits[point >> 3] |= 1 << (point & 7);
  const packed = btoa(Array.from(bits, (byte) => String.fromCharCode(byte)).join(""));
  const safe = `~${packed.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
  return list.length <= safe.length ? list : safe;
}

function readPoints(text) {
  if (!text.startsWith("~")) {
    return text.split(",").flatMap((part) => {
      const [from, to = from] = part.split("-").map((index) => facts.indices.indexOf(Number(index || NaN)));
      return from < 0 || to < from ? [] : Array.from({ length: to - from + 1 }, (_, i) => from + i);
    });
  }
  try {
    const packed = atob(text.slice(1).replaceAll("-", "+").replaceAll("_", "/"));
    return facts.indices.flatMap((_, point) => ((packed.charCodeAt(point >> 3) >> (point & 7)) & 1 ? [point] : []));
  } catch {
    return [];
  }
}

const flag = { write: Number, read: (text) => ({ 0: false, 1: true })[text] };
const positionIn = (list) => ({
  write: (position) => list[position],
  read: (text) => (list.includes(Number(text)) ? list.indexOf(Number(text)) : undefined),
});
const oneOf = (...choices) => ({ write: String, read: (text) => choices.find((choice) => choice === text) });
const listOf = (length) => ({ write: (list) => list?.map(short).join() ?? "", read: (text) => numbers(text, length) });
const labels = (text) =>
  text
    .split(",")
    .map((part) => (part ? Number(part) : -1))
    .filter((label) => label in facts.classes);
const image = positionIn(facts.indices);

// For each key of the state: to text in the address and back; undefined for invalid text.
const KEPT = {
  point: image,
  epoch: positionIn(facts.epochs),
  latent: { ...listOf(size), read: (text) => numbers(text, size)?.map(within) },
  from: image,
  to: image,
  step: { write: short, read: (text) => numbers(text, 1)?.map((step) => Math.min(1, Math.max(0, step)))[0] },
  line: flag,
  hidden: { write: (hidden) => [...hidden].sort((a, b) => a - b).join(), read: (text) => new Set(labels(text)) },
  selected: { write: (points) => (points.length ? writePoints(points) : ""), read: readPoints },
  selectedName: { write: String, read: String },
  isolated: flag,
  gridOrder: { write: String, read: (text) => orders().find((name) => name === text) },
  gridSelected: flag,
  group: { write: (label) => label ?? "", read: (text) => labels(text)[0] },
  color: { write: String, read: (text) => colorNames().find((name) => name === text) },
  thumbnails: flag,
  cloud: flag,
  map: flag,
  mapPoints: flag,
  xy: {
    write: (xy) => xy.map((dimension) => `z${dimension + 1}`).join(),
    read: (text) =>
      names(
        text,
        facts.sliders.map((_, i) => `z${i + 1}`),
        2,
      )?.map((name) => Number(name.slice(1)) - 1),
  },
  axes: { write: (axes) => axes?.join() ?? "", read: (text) => names(text, axisNames, dimensions) },
  view: listOf(flat ? 4 : 6),
  proportions: flag,
  shortcuts: flag,
  theme: oneOf("auto", "light", "dark"),
};

// A comma needs no escape in a fragment.
const escaped = (text) => encodeURIComponent(text).replaceAll("%2C", ",");

// Only what differs from a fresh page.
function fragment() {
  const entries = Object.entries(KEPT).map(([key, { write }]) => [
    key,
    String(write(state[key])),
    String(write(fresh[key])),
  ]);
  const told = entries.filter(([key, text, first]) => text !== first || key === "point");
  return told.map(([key, text]) => `${key}=${escaped(text)}`).join("&");
}

// State from the address; missing or invalid parts are as on a fresh page.
export function restored() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const asked = { ...fresh };
  for (const [key, { read }] of Object.entries(KEPT))
    if (wanted.has(key)) asked[key] = read(wanted.get(key)) ?? asked[key];
  const { from, to, step, epoch, selected } = asked;
  if (!wanted.get("latent") || !asked.latent.length) asked.latent = between(from, to, step, decodingEpoch(epoch));
  if (!selected.length) Object.assign(asked, { isolated: false, selectedName: "" });
  if (asked.axes?.join() === firstAxes.join()) asked.axes = null;
  return asked;
}

const REMEMBER_MS = 200;
let timer = 0;

// Browsers limit the number of changes of the address.
function remember() {
  clearTimeout(timer);
  timer = setTimeout(writeFragment, REMEMBER_MS);
}

function writeFragment() {
  clearTimeout(timer);
  timer = 0;
  history.replaceState(null, "", `#${fragment()}`);
}

export const rememberNow = () => timer && writeFragment();

async function copyLink() {
  writeFragment();
  const copied = await copyText(location.href);
  element("link-shown").hidden = copied;
  if (!copied) {
    element("link").value = location.href;
    element("link").select();
    return;
  }
  element("share").textContent = "Copied";
  setTimeout(() => (element("share").textContent = "Copy link"), 2000);
}

export function buildLink() {
  element("share").onclick = copyLink;
  watch(Object.keys(fresh), remember);
}
