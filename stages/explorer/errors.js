// What the epoch shown gets wrong: whose points lie among another class's, and which pictures come out worst and best.

const STRIP = 6; // pictures in a strip
const ASKED = 2000; // points whose neighbors are looked for, at most
const SLICE_MS = 8;

const colorings = {
  light: ["#93a1b3", "#b8894f", "#b4531f", "#7a1022", "#3d0714"],
  dark: ["#525f70", "#8a6a48", "#d07f35", "#f5b95c", "#fff3b8"],
};
const SHADES = 12;

// Between two colors, by share.
function blend(from, to, share) {
  const channel = (text, i) => parseInt(text.slice(1 + 2 * i, 3 + 2 * i), 16);
  const mixed = [0, 1, 2].map((i) => Math.round(channel(from, i) + share * (channel(to, i) - channel(from, i))));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

// The colors of errors from the least to the greatest.
function shades() {
  const anchors = colorings[isDark() ? "dark" : "light"];
  return Array.from({ length: SHADES }, (_, i) => {
    const place = (i / (SHADES - 1)) * (anchors.length - 1);
    const low = Math.min(Math.floor(place), anchors.length - 2);
    return blend(anchors[low], anchors[low + 1], place - low);
  });
}

let errorEnds = null;

// One scale for all epochs, so that training is seen to help: logarithmic, but for a few at both ends.
function errorScale() {
  if (!errorEnds) {
    const all = Float64Array.from(data.snapshots.flatMap(({ errors }) => [...errors])).sort();
    const at = (share) => Math.max(all[Math.round(share * (all.length - 1))], 1e-9);
    errorEnds = [at(0.02), at(0.98)];
  }
  return errorEnds;
}

function colorByError() {
  const [low, high] = errorScale().map(Math.log);
  const colors = shades();
  const { errors } = data.snapshots[state.epoch];
  return (point) => {
    const share = (Math.log(Math.max(errors[point], 1e-9)) - low) / (high - low || 1);
    return colors[Math.min(SHADES - 1, Math.max(0, Math.floor(share * SHADES)))];
  };
}

function showColoring() {
  const byError = state.color === "error";
  plot.color(byError ? colorByError() : null);
  element("color-error").setAttribute("aria-pressed", String(byError));
  element("error-scale").hidden = !byError;
  if (!byError) return;
  const [low, high] = errorScale().map((value) => value.toPrecision(2));
  const bar = make("span", { className: "ramp" });
  bar.style.background = `linear-gradient(to right, ${shades().join()})`;
  element("error-scale").replaceChildren(`error ${low} or less`, bar, `${high} or more`);
}

// The neighbors of a point among all points, hidden or not.
const nearestOf = (point, epoch) => nearestTo(latentOf(point, epoch), epoch, (other) => other !== point);

const percent = (share) => `${Math.round(100 * share)} %`;

// Of each class, in the space as the epoch had it: how many nearest neighbors its points have in each class. Null where
// nobody waits for it any more.
const mixes = new Map();
async function mixesOf(epoch, wanted) {
  if (mixes.has(epoch)) return mixes.get(epoch);
  const counts = new Map(present.map((label) => [label, new Map()]));
  const stride = Math.ceil(count / ASKED);
  let until = performance.now() + SLICE_MS;
  for (let point = 0; point < count; point += stride) {
    const own = counts.get(facts.labels[point]);
    for (const { point: other } of nearestOf(point, epoch)) {
      const label = facts.labels[other];
      own.set(label, (own.get(label) ?? 0) + 1);
    }
    if (performance.now() < until) continue;
    await new Promise((done) => setTimeout(done));
    if (!wanted()) return null;
    until = performance.now() + SLICE_MS;
  }
  mixes.set(epoch, counts);
  return counts;
}

// A class as the table shows it; the classes among its points' neighbors, the most frequent other one first.
function rowOf(label, mix) {
  const points = facts.labels.flatMap((other, point) => (other === label ? [point] : []));
  const { errors } = data.snapshots[state.epoch];
  const total = [...mix.values()].reduce((sum, number) => sum + number, 0) || 1;
  const shares = [...mix].map(([other, number]) => ({ label: other, share: number / total }));
  const others = shares.filter((each) => each.label !== label).sort((a, b) => b.share - a.share || a.label - b.label);
  const own = (mix.get(label) ?? 0) / total;
  return { label, own, others, points, error: points.reduce((sum, point) => sum + errors[point], 0) / points.length };
}

let errorsAsked = 0;
let errorsShown = Promise.resolve();

// Not before the page has answered to what changed.
async function showErrors() {
  const asked = ++errorsAsked;
  await new Promise((done) => setTimeout(done));
  if (asked !== errorsAsked) return;
  showStrips();
  if (present.length < 2) return;
  const counts = await mixesOf(state.epoch, () => asked === errorsAsked);
  if (!counts || asked !== errorsAsked) return;
  const rows = present.map((label) => rowOf(label, counts.get(label))).sort((a, b) => a.own - b.own || b.error - a.error);
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
  const name = make("button", { type: "button", className: "plain" }, swatch(label), make("span", { textContent: facts.classes[label] }));
  name.title = "Its worst and best reconstructed";
  name.dataset.label = label;
  name.onclick = () => set({ group: state.group === label ? null : label });
  const bar = make("div", { className: "mix" });
  for (const { label: each, share } of [{ label, share: own }, ...others]) {
    const part = make("span", { title: `${facts.classes[each]}, ${percent(share)}` });
    part.style.cssText = `flex-grow:${share};background:${colorOf(each)}`;
    if (share > 0) bar.append(part);
  }
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", [{ label, share: own }, ...others.slice(0, 3)].map((each) => `${percent(each.share)} ${facts.classes[each.label]}`).join(", "));
  const cell = (...children) => make("td", {}, ...children);
  const most = others.length ? pairButton(row, others[0]) : "none";
  return make("tr", {}, make("th", { scope: "row" }, name), cell(bar), cell(most), cell(error.toPrecision(2)));
}

// Selects the points of a class that have neighbors in another, and these.
function pairButton(row, { label, share }) {
  const button = make("button", { type: "button", className: "plain" }, swatch(label), make("span", { textContent: facts.classes[label] }), ` ${percent(share)}`);
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

// The two classes that lie among each other the most, in words.
function showWorstPair(rows) {
  const pairs = rows.flatMap((row) => row.others.slice(0, 1).map((other) => ({ row, other })));
  const worst = pairs.sort((a, b) => b.other.share - a.other.share)[0];
  const line = element("errors-worst");
  if (!worst) {
    line.replaceChildren("Every class keeps to itself: no point has a neighbor of another.");
    return;
  }
  const { row, other } = worst;
  const show = make("button", { type: "button", className: "link", textContent: "See what it makes of them" });
  show.onclick = () => selectPair(row, other.label);
  line.replaceChildren(
    make("strong", { textContent: `${facts.classes[row.label]} is taken for ${facts.classes[other.label]}` }),
    ` the most: of the ${Math.min(facts.neighbors, count - 1)} nearest neighbors of its points, ${percent(other.share)} are that. `,
    show,
  );
}

function showStrips() {
  const { group, epoch } = state;
  const { errors } = data.snapshots[epoch];
  const points = facts.indices.flatMap((_, point) => (group === null || facts.labels[point] === group ? [point] : []));
  points.sort((a, b) => errors[b] - errors[a] || a - b);
  const shown = Math.min(STRIP, Math.ceil(points.length / 2));
  const strip = (list) => list.map((point) => pairOf(point, epoch));
  const of = group === null ? "" : ` of ${facts.classes[group]}`;
  element("worst-title").textContent = `Worst reconstructed${of}`;
  element("best-title").textContent = `Best reconstructed${of}`;
  element("worst").replaceChildren(...strip(points.slice(0, shown)));
  element("best").replaceChildren(...strip(points.slice(shown).slice(-shown).reverse()));
}

function buildErrors() {
  element("color-error").onclick = () => set({ color: state.color === "error" ? "class" : "error" });
  if (present.length < 2) element("errors-classes").hidden = true;
  watch(["color", "epoch", "theme"], showColoring);
  watch(["epoch", "theme", "group"], () => (errorsShown = showErrors()));
}
