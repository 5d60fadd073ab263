// Confused classes by nearest neighbors, and the worst and best reconstructions, for the epoch shown.

import { colorOf, swatch } from "./classes.js";
import { data } from "./data.js";
import { element, make } from "./dom.js";
import { facts, present } from "./facts.js";
import { percent } from "./format.js";
import { nearestOf } from "./neighbors.js";
import { pairOf } from "./point.js";
import { lostOf } from "./quality.js";
import { select } from "./select.js";
import { set, state, watch } from "./state.js";
import { shownPoints } from "./visible.js";

const STRIP = 6; // pictures in a strip
const ASKED = 2000; // points whose neighbors are looked for, at most
const SLICE_MS = 8;

// Of each class, in the space as the epoch had it: how many nearest neighbors its points have in each class. Null where
// nobody waits for it any more.
let mixes = { of: [], counts: null };

async function mixesOf(wanted) {
  const of = [state.epoch, state.hidden, state.isolated, state.selected];
  if (of.every((value, i) => value === mixes.of[i])) return mixes.counts;
  const points = shownPoints();
  const counts = new Map();
  const stride = Math.ceil(points.length / ASKED);
  let until = performance.now() + SLICE_MS;
  for (let i = 0; i < points.length; i += stride) {
    const label = facts.labels[points[i]];
    if (!counts.has(label)) counts.set(label, new Map());
    const mix = counts.get(label);
    for (const { point: other } of nearestOf(points[i], state.epoch)) {
      mix.set(facts.labels[other], (mix.get(facts.labels[other]) ?? 0) + 1);
    }
    if (performance.now() < until) continue;
    await new Promise((done) => setTimeout(done));
    if (!wanted()) return null;
    until = performance.now() + SLICE_MS;
  }
  mixes = { of, counts };
  return counts;
}

// A class as the table shows it; the classes among its points' neighbors, the most frequent other one first.
function rowOf(label, mix) {
  const points = shownPoints().filter((point) => facts.labels[point] === label);
  const { errors } = data.snapshots[state.epoch];
  const total = [...mix.values()].reduce((sum, number) => sum + number, 0) || 1;
  const shares = [...mix].map(([other, number]) => ({ label: other, share: number / total }));
  const others = shares.filter((each) => each.label !== label).sort((a, b) => b.share - a.share || a.label - b.label);
  const own = (mix.get(label) ?? 0) / total;
  return { label, own, others, points, error: points.reduce((sum, point) => sum + errors[point], 0) / points.length };
}

let errorsAsked = 0;
export let errorsShown = Promise.resolve();

// Wait until the page has drawn the change.
async function showErrors() {
  const asked = ++errorsAsked;
  await new Promise((done) => setTimeout(done));
  if (asked !== errorsAsked) return;
  showStrips();
  if (present.length < 2) return;
  const counts = await mixesOf(() => asked === errorsAsked);
  if (!counts || asked !== errorsAsked) return;
  const rows = [...counts].map(([label, mix]) => rowOf(label, mix)).sort((a, b) => a.own - b.own || b.error - a.error);
  element("errors-rows").replaceChildren(...rows.map(classRow));
  showWorstPair(rows);
  showGroup();
}

function showGroup() {
  for (const button of element("errors-rows").querySelectorAll("th button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.label) === state.group));
  }
}

function classRow(row) {
  const { label, own, others, error } = row;
  const name = make(
    "button",
    { type: "button", className: "plain" },
    swatch(label),
    make("span", { textContent: facts.classes[label] }),
  );
  name.title = "Its worst and best reconstructed";
  name.dataset.label = label;
  name.onclick = () => set({ group: state.group === label ? null : label });
  const bar = make("div", { className: "mix" });
  for (const { label: each, share } of [{ label, share: own }, ...others]) {
    const part = make("span", { title: `${facts.classes[each]}, ${percent(share)}` });
    part.style.cssText = `flex-grow:${share};color:${colorOf(each)}`;
    part.dataset.label = each;
    if (share > 0) bar.append(part);
  }
  bar.setAttribute("role", "img");
  bar.setAttribute(
    "aria-label",
    [{ label, share: own }, ...others.slice(0, 3)]
      .map((each) => `${percent(each.share)} ${facts.classes[each.label]}`)
      .join(", "),
  );
  const cell = (...children) => make("td", {}, ...children);
  const most = others.length ? pairButton(row, others[0]) : "none";
  return make("tr", {}, make("th", { scope: "row" }, name), cell(bar), cell(most), cell(error.toPrecision(2)));
}

// Select the points of a class with neighbors in another class, and these neighbors.
function pairButton(row, { label, share }) {
  const button = make(
    "button",
    { type: "button", className: "plain" },
    swatch(label),
    make("span", { textContent: facts.classes[label] }),
    make("span", { className: "share", textContent: ` ${percent(share)}` }),
  );
  button.title = `Select the points of ${facts.classes[row.label]} that have neighbors of ${facts.classes[label]}, and these`;
  button.onclick = () => selectPair(row, label);
  return button;
}

function selectPair(row, label) {
  const chosen = new Set();
  for (const point of row.points) {
    const near = nearestOf(point, state.epoch).filter(({ point: other }) => facts.labels[other] === label);
    for (const { point: other } of near) chosen.add(point).add(other);
  }
  select([...chosen], `${facts.classes[row.label]} among ${facts.classes[label]}`);
}

// The two most confused classes, as text.
function showWorstPair(rows) {
  const pairs = rows.flatMap((row) => row.others.slice(0, 1).map((other) => ({ row, other })));
  const worst = pairs.sort((a, b) => b.other.share - a.other.share)[0];
  const line = element("errors-worst");
  element("way-pair").hidden = !worst;
  if (!worst) {
    line.replaceChildren("No point has a nearest neighbor of another class.");
    return;
  }
  const { row, other } = worst;
  const way = element("way-pair");
  way.textContent = `What it mixes up: ${[row.label, other.label].map((label) => facts.classes[label]).join(", ")}`;
  way.onclick = () => selectPair(row, other.label);
  const [name, among] = [row.label, other.label].map((label) => facts.classes[label]);
  const show = make("button", { type: "button", className: "link", textContent: "Show these points" });
  show.onclick = () => selectPair(row, other.label);
  const nearest = Math.min(facts.neighbors, shownPoints().length - 1);
  line.replaceChildren(
    make("strong", { textContent: `${name} lies among ${among}` }),
    ` the most: of the ${nearest} nearest neighbors of its points, ${percent(other.share)} are ${among}. `,
    show,
  );
}

// Sort visible points by the share of lost variance.
function showStrips() {
  const { group, epoch } = state;
  const points = shownPoints().filter((point) => group === null || facts.labels[point] === group);
  const ranked = points.filter((point) => lostOf(point, epoch) !== null);
  ranked.sort((a, b) => lostOf(b, epoch) - lostOf(a, epoch) || a - b);
  const shown = Math.min(STRIP, Math.ceil(ranked.length / 2));
  const strip = (list) => list.map((point) => pairOf(point, epoch));
  const of = group === null ? "" : ` of ${facts.classes[group]}`;
  element("worst-title").textContent = `Worst reconstructed${of}, by the variance lost`;
  element("best-title").textContent = `Best reconstructed${of}`;
  element("worst").replaceChildren(...strip(ranked.slice(0, shown)));
  element("best").replaceChildren(...strip(ranked.slice(shown).slice(-shown).reverse()));
  const plain = points.length - ranked.length;
  element("plain-note").hidden = plain === 0;
  element("plain-note").textContent = `${plain} of a single color have no variance to lose, and no rank.`;
}

export function buildErrors() {
  if (present.length < 2) element("errors-classes").hidden = true;
  watch(["epoch", "theme", "group", "hidden", "isolated", "selected"], () => (errorsShown = showErrors()));
}
