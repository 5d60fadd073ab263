// Color points by a measure or by a column of metadata.csv.

import { data } from "./data.js";
import { element, make } from "./dom.js";
import { facts, labeled } from "./facts.js";
import { percent } from "./format.js";
import { plot } from "./plot.js";
import { lostOf } from "./quality.js";
import { set, state, watch } from "./state.js";
import { isDark } from "./theme.js";
import { allPoints } from "./visible.js";

const colorings = {
  light: ["#93a1b3", "#b8894f", "#b4531f", "#7a1022", "#3d0714"],
  dark: ["#525f70", "#8a6a48", "#d07f35", "#f5b95c", "#fff3b8"],
};

const SHADES = 12;

// Interpolate between two colors.
function blend(from, to, share) {
  const channel = (text, i) => parseInt(text.slice(1 + 2 * i, 3 + 2 * i), 16);
  const mixed = [0, 1, 2].map((i) => Math.round(channel(from, i) + share * (channel(to, i) - channel(from, i))));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

// Colors of errors, smallest to largest.
function shades() {
  const anchors = colorings[isDark() ? "dark" : "light"];
  return Array.from({ length: SHADES }, (_, i) => {
    const place = (i / (SHADES - 1)) * (anchors.length - 1);
    const low = Math.min(Math.floor(place), anchors.length - 2);
    return blend(anchors[low], anchors[low + 1], place - low);
  });
}

const rounded = (value) => String(Number(value.toPrecision(3)));
const shadeOf = (share) => Math.min(SHADES - 1, Math.max(0, Math.floor(share * SHADES)));
const GRAY = "#8a8a8a"; // of a point that the column says nothing of, and of words beyond the ten most frequent

// Ends of a scale, without outliers.
function ends(values) {
  const sorted = Float64Array.from(values).sort();
  return [0.02, 0.98].map((share) => sorted[Math.round(share * (sorted.length - 1))]);
}

// Color scale of numbers: {colorOf(point), key}, the key as parts {text}, {text, color} or, for a scale, {colors}.
// `numberAt` returns null without a number.
function byNumber(name, numberAt, range, { scaled = (value) => value, write = rounded } = {}) {
  const [low, high] = range.map(scaled);
  const colors = shades();
  const [least, most] = range.map(write);
  return {
    colorOf(point) {
      const value = numberAt(point);
      return value === null ? GRAY : colors[shadeOf((scaled(value) - low) / (high - low || 1))];
    },
    key: [{ text: `${name} ${least} or less` }, { colors }, { text: `${most} or more` }],
  };
}

// Words as classes, most frequent first.
function byWord(name, words) {
  const counts = new Map();
  for (const word of words) if (word) counts.set(word, (counts.get(word) ?? 0) + 1);
  const frequent = [...counts].sort((a, b) => b[1] - a[1]).map(([word]) => word);
  const colors = facts.colors[isDark() ? "dark" : "light"];
  const color = (word) => colors.slice(0, MAX_WORDS)[frequent.indexOf(word)] ?? GRAY;
  const named = frequent.slice(0, MAX_WORDS).map((word) => ({ text: word, color: color(word) }));
  const rest = words.some((word) => color(word) === GRAY) ? [{ text: "other", color: GRAY }] : [];
  return { colorOf: (point) => color(words[point]), key: [{ text: name }, ...named, ...rest] };
}

const MAX_WORDS = 10;
const logarithm = (value) => Math.log(Math.max(value, 1e-9));

// One scale for all epochs, so that they are comparable.
function byError() {
  const range = ends(data.snapshots.flatMap(({ errors }) => [...errors]));
  return byNumber("error", (point) => data.snapshots[state.epoch].errors[point], range, { scaled: logarithm });
}

function byLoss() {
  const all = facts.epochs.flatMap((_, epoch) => allPoints.map((point) => lostOf(point, epoch)));
  return byNumber("variance lost", (point) => lostOf(point, state.epoch), ends(all.filter((lost) => lost !== null)), {
    scaled: logarithm,
    write: percent,
  });
}

// Numbers, if all values are numbers and there are several.
function byColumn(name) {
  const words = data.columns[name];
  const numbers = words.map((word) => (word.trim() ? Number(word) : null));
  const known = numbers.filter((value) => value !== null);
  if (known.every(Number.isFinite) && new Set(known).size > 1)
    return byNumber(name, (point) => numbers[point], ends(known));
  return byWord(name, words);
}

const COLUMN = "column:";
const MEASURES = { error: byError, lost: byLoss };

// The current coloring: {colorOf, key}; null for classes.
export function coloring() {
  if (state.color.startsWith(COLUMN)) return byColumn(state.color.slice(COLUMN.length));
  return MEASURES[state.color]?.() ?? null;
}

export const colorNames = () => ["class", "error", "lost", ...Object.keys(data.columns).map((name) => COLUMN + name)];

function keyNode({ text, color, colors }) {
  const mark = make("span", { className: colors ? "ramp" : "dot" });
  mark.style.background = colors ? `linear-gradient(to right, ${colors.join()})` : color;
  if (colors) return mark;
  return color ? make("span", { className: "count" }, mark, text) : text;
}

function showColoring() {
  const by = coloring();
  plot.color(by?.colorOf ?? null);
  element("color").value = state.color;
  element("color-key").hidden = !by;
  element("color-key").replaceChildren(...(by?.key ?? []).map(keyNode));
}

export function buildColoring() {
  const titles = { class: labeled ? "class" : "nothing", error: "error", lost: "variance lost" };
  element("color").append(
    ...colorNames().map((value) => make("option", { value, textContent: titles[value] ?? value.slice(COLUMN.length) })),
  );
  element("color").onchange = () => set({ color: element("color").value });
  watch(["color", "epoch", "theme"], showColoring);
}
