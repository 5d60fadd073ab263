// A colour and a symbol for each class, and the legend.

// Ten colours a theme that people tell apart whatever their colour vision: found by search for the largest smallest
// difference (OKLab) between any two, as normal, protan, deutan and tritan eyes see them (Machado et al. 2009), at a
// contrast of 2 or more with the card. The controls are grey, so that colour always means a class.
const COLORS = {
  light: ["#307bfe", "#8d575a", "#5bc5a5", "#7a066c", "#d549ab", "#8c8915", "#e5a914", "#c09cfe", "#494508", "#2f32bb"],
  dark: ["#00caf9", "#f5b69d", "#a6f4f7", "#aa4671", "#ea759b", "#b4ae1f", "#f3e968", "#808af0", "#7c7f01", "#0d6cba"],
};
// Symbols say it once more, and tell an eleventh class from the first.
const SYMBOLS = {
  circle: "M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 1 1 0-11z",
  square: "M3 3h10v10H3z",
  diamond: "M8 1l7 7-7 7-7-7z",
};
const names = Object.keys(SYMBOLS);

const symbolOf = (label) => names[(label + Math.floor(label / 10)) % names.length];
const colorOf = (label) => COLORS[isDark() ? "dark" : "light"][label % 10];

const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (state.theme === "auto" ? system.matches : state.theme === "dark");

function swatch(label) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("swatch");
  path.setAttribute("d", SYMBOLS[symbolOf(label)]);
  svg.append(path);
  svg.style.color = colorOf(label);
  svg.dataset.label = label;
  return svg;
}

const present = [...new Set(facts.labels)].sort((a, b) => a - b);

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
  system.addEventListener("change", () => set({ theme: state.theme }));
  watch(["theme"], () => {
    document.documentElement.dataset.theme = state.theme;
    element("theme").textContent = THEMES[state.theme];
    for (const each of document.querySelectorAll(".swatch")) each.style.color = colorOf(Number(each.dataset.label));
  });
}

// The colour that the style sheet gives a name, for the current theme.
function themed(name) {
  const probe = make("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}
