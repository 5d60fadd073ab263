// A color and a shape for each class, and the legend.

// Ten colors a theme that people tell apart whatever their color vision: found by search for the largest smallest
// difference (OKLab) between any two, as normal, protan, deutan and tritan eyes see them (Machado et al. 2009), at a
// contrast of 3 or more with what they lie on (WCAG 1.4.11). The controls are grey, so that color always means a class.
const COLORS = {
  light: ["#026695", "#530d35", "#0f9e66", "#aa135d", "#d734ff", "#434814", "#fc450b", "#9d7ebb", "#7606d7", "#0f0080"],
  dark: ["#8cb2fe", "#ffcfa6", "#00865c", "#fe7bb2", "#d70cff", "#a2b506", "#ed0000", "#8a66af", "#cdff00", "#00fffe"],
};
// Shapes say it once more, and tell an eleventh class from the first. All have the same area, in a box of 16.
const SHAPES = {
  circle: "M3 8a5 5 0 1 1 10 0a5 5 0 1 1-10 0z",
  square: "M3.6 3.6h8.8v8.8h-8.8z",
  up: "M8 .2L14.8 11.9H1.2z",
  diamond: "M8 1.7L14.3 8 8 14.3 1.7 8z",
  plus: "M6 2h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
  down: "M8 15.8L1.2 4.1H14.8z",
  star: "M8 .3L10.1 5.1 15.3 5.6 11.4 9.1 12.5 14.2 8 11.6 3.5 14.2 4.6 9.1 .7 5.6 5.9 5.1z",
  cross: "M10.8 2.3L13.7 5.2 10.8 8 13.7 10.8 10.8 13.7 8 10.8 5.2 13.7 2.3 10.8 5.2 8 2.3 5.2 5.2 2.3 8 5.2z",
  left: "M.2 8L11.9 1.2V14.8z",
  right: "M15.8 8L4.1 14.8V1.2z",
};
const shapes = Object.keys(SHAPES);

const symbolOf = (label) => shapes[(label + Math.floor(label / 10)) % shapes.length];
const colorOf = (label) => COLORS[isDark() ? "dark" : "light"][label % 10];

const system = matchMedia("(prefers-color-scheme: dark)");
const forced = matchMedia("(forced-colors: active)");
const paper = matchMedia("print");
let printing = false;

// Paper is light, whatever the screen is; forced colors have a ground of their own.
function isDark() {
  if (printing) return false;
  if (forced.matches) return luminance(themed("surface")) < 0.18;
  return state.theme === "auto" ? system.matches : state.theme === "dark";
}

// WCAG 2's, of "rgb(r, g, b)".
function luminance(color) {
  const linear = color.match(/[\d.]+/g).slice(0, 3).map((text) => {
    const value = Number(text) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

function swatch(label) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("swatch");
  path.setAttribute("d", SHAPES[symbolOf(label)]);
  svg.append(path);
  svg.style.color = colorOf(label);
  svg.dataset.label = label;
  return svg;
}

const present = facts.classes.length ? [...new Set(facts.labels)].sort((a, b) => a - b) : [];

function toggleClass(label) {
  const hidden = new Set(state.hidden);
  if (!hidden.delete(label)) hidden.add(label);
  set({ hidden });
}

// Show this class alone, or all again where it is alone already.
function isolateClass(label) {
  const others = present.filter((other) => other !== label);
  const alone = !state.hidden.has(label) && others.every((other) => state.hidden.has(other));
  set({ hidden: new Set(alone ? [] : others) });
}

function buildLegend() {
  const chips = present.map((label, position) => {
    const toggle = make("button", { type: "button", className: "chip" }, swatch(label), facts.classes[label]);
    if (position < 10) toggle.title = `Hide or show (key ${(position + 1) % 10})`;
    toggle.onclick = (event) => (event.shiftKey ? isolateClass(label) : toggleClass(label));
    const only = make("button", { type: "button", className: "only", textContent: "only" });
    only.setAttribute("aria-label", `Show only ${facts.classes[label]}`);
    only.onclick = () => isolateClass(label);
    const group = make("span", { className: "class" }, toggle, only);
    group.dataset.label = label;
    return group;
  });
  const all = make("button", { type: "button", id: "all-classes", className: "all", textContent: "Show all" });
  all.onclick = () => set({ hidden: new Set() });
  element("legend").append(...chips, all);
  element("legend").hidden = present.length === 0;
  watch(["hidden"], () => {
    for (const chip of chips) {
      chip.firstChild.setAttribute("aria-pressed", String(!state.hidden.has(Number(chip.dataset.label))));
    }
    all.disabled = state.hidden.size === 0;
  });
}

const THEMES = { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" };

function nextTheme() {
  const order = Object.keys(THEMES);
  set({ theme: order[(order.indexOf(state.theme) + 1) % order.length] });
}

function buildTheme() {
  element("theme").onclick = nextTheme;
  const again = () => set({ theme: state.theme });
  for (const query of [system, forced]) query.addEventListener("change", again);
  const print = (on) => {
    if (printing === on) return;
    printing = on;
    again();
    if (plotSize.width) drawPlot(); // paper doesn't wait for the next frame
  };
  paper.addEventListener("change", ({ matches }) => print(matches));
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  watch(["theme"], () => {
    document.documentElement.dataset.theme = state.theme;
    themedColors.clear();
    element("theme").textContent = THEMES[state.theme];
    for (const each of document.querySelectorAll(".swatch")) each.style.color = colorOf(Number(each.dataset.label));
  });
}

const themedColors = new Map();

// The color that the style sheet gives a name, for the current theme.
function themed(name) {
  if (!themedColors.has(name)) {
    const probe = make("span");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    themedColors.set(name, getComputedStyle(probe).color);
    probe.remove();
  }
  return themedColors.get(name);
}
