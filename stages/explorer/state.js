// What the page shows, in one object; each part of the page watches what it shows; the URL's fragment keeps it all.

const state = {
  point: 0, // position of the chosen point
  epoch: last, // position among the epochs shown
  latent: [], // where the sliders are
  from: 0, // ends of the interpolation, positions of points
  to: 0,
  step: 0.5, // place between them
  hidden: new Set(), // labels
  color: "class", // or "error"
  group: null, // the label whose worst and best pictures are shown; null for all
  selected: [], // points
  isolated: false, // whether only the selected are shown
  tool: null, // what a drag on the plot selects with: "box" or "lasso"; null turns it
  thumbnails: false, // pictures as points
  map: false, // of decoded pictures, under the pad
  mapPoints: true, // on it
  cloud: true, // all training latents, where the page has them
  own: null, // a picture from outside: {pixels, latent, error}
  view: null, // the plot's camera or ranges, as a list of numbers; null for the first view
  axes: null, // names of the plot's axes; null for the first ones
  proportions: false, // whether the axes are drawn in true proportions
  shortcuts: true, // whether single keys act
  theme: "auto",
};
const fresh = { ...state };
const watchers = [];

function watch(keys, act) {
  watchers.push({ keys, act });
}

function set(changes) {
  Object.assign(state, changes);
  const changed = Object.keys(changes);
  for (const { keys, act } of watchers) if (keys.some((key) => changed.includes(key))) act();
  remember();
}

const short = (number) => Number(number.toPrecision(5));

function fragment() {
  const entries = { point: facts.indices[state.point], epoch: facts.epochs[state.epoch] };
  entries.latent = state.latent.map(short).join();
  entries.from = facts.indices[state.from];
  entries.to = facts.indices[state.to];
  entries.step = short(state.step);
  if (state.hidden.size) entries.hidden = [...state.hidden].sort((a, b) => a - b).join();
  if (state.axes) entries.axes = state.axes.join();
  if (state.proportions) entries.proportions = "true";
  if (!state.shortcuts) entries.shortcuts = "off";
  if (state.view) entries.view = state.view.map(short).join();
  if (state.color !== "class") entries.color = state.color;
  for (const key of ["thumbnails", "map"]) if (state[key]) entries[key] = 1;
  if (state.theme !== "auto") entries.theme = state.theme;
  return Object.entries(entries).map((entry) => entry.join("=")).join("&");
}

const REMEMBER_MS = 200;
let timer = 0;

// Browsers refuse too many changes of the address in a short time.
function remember() {
  clearTimeout(timer);
  timer = setTimeout(writeFragment, REMEMBER_MS);
}

function writeFragment() {
  clearTimeout(timer);
  timer = 0;
  history.replaceState(null, "", `#${fragment()}`);
}

function numbers(text, length) {
  const list = (text ?? "").split(",").map((part) => (part.trim() ? Number(part) : NaN));
  return list.length === length && list.every(Number.isFinite) ? list : null;
}

// The state that a fragment asks for; what it leaves out, or asks for in vain, is as on a fresh page.
function restored() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const position = (list, key, otherwise) => {
    const found = wanted.has(key) ? list.indexOf(Number(wanted.get(key))) : -1;
    return found < 0 ? otherwise : found;
  };
  const point = position(facts.indices, "point", 0);
  const from = position(facts.indices, "from", 0);
  const other = facts.labels.findIndex((label) => label !== facts.labels[from]);
  const to = position(facts.indices, "to", Math.max(other, 0));
  const [asked] = numbers(wanted.get("step"), 1) ?? [0.5];
  const step = Math.min(1, Math.max(0, asked));
  const epoch = position(facts.epochs, "epoch", last);
  const latent = numbers(wanted.get("latent"), size)?.map(within) ?? between(from, to, step, decodingEpoch(epoch));
  const labels = (wanted.get("hidden") ?? "").split(",").map((text) => (text ? Number(text) : -1));
  return {
    ...fresh,
    point,
    from,
    to,
    step,
    latent,
    epoch,
    hidden: new Set(labels.filter((label) => label in facts.classes)),
    color: wanted.get("color") === "error" ? "error" : "class",
    thumbnails: wanted.get("thumbnails") === "1",
    map: wanted.get("map") === "1",
    view: numbers(wanted.get("view"), flat ? 4 : 6),
    axes: restoredAxes(wanted.get("axes")),
    proportions: wanted.get("proportions") === "true",
    shortcuts: wanted.get("shortcuts") !== "off",
    theme: ["light", "dark"].includes(wanted.get("theme")) ? wanted.get("theme") : "auto",
  };
}

function restoredAxes(text) {
  const names = (text ?? "").split(",");
  const fit = names.length === dimensions && new Set(names).size === dimensions && names.every((name) => axisNames.includes(name));
  return fit && names.join() !== firstAxes.join() ? names : null;
}

function within(value, dimension) {
  const [low, high] = facts.sliders[dimension];
  return Math.min(high, Math.max(low, value));
}

const between = (from, to, step, epoch = decodingEpoch()) => {
  const ends = [latentOf(from, epoch), latentOf(to, epoch)];
  return ends[0].map((start, dimension) => start + step * (ends[1][dimension] - start));
};
