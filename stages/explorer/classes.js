// A color and a shape for each class, and the legend.

import { element, make, svg } from "./dom.js";
import { facts, present } from "./facts.js";
import { set, state, watch } from "./state.js";
import { isDark } from "./theme.js";

// Shapes repeat the class, and distinguish an eleventh class from the first. All have the same area, in a box of 16.
export const SHAPES = {
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
export const symbolOf = (label) => shapes[(label + Math.floor(label / 10)) % shapes.length];
export const colorOf = (label) => facts.colors[isDark() ? "dark" : "light"][label];

export function swatch(label) {
  const mark = svg(
    "svg",
    { viewBox: "0 0 16 16", "aria-hidden": "true", class: "swatch" },
    svg("path", { d: SHAPES[symbolOf(label)] }),
  );
  mark.style.color = colorOf(label);
  mark.dataset.label = label;
  return mark;
}

export function toggleClass(label) {
  const hidden = new Set(state.hidden);
  if (!hidden.delete(label)) hidden.add(label);
  set({ hidden });
}

// Show only this class, or all classes if it is already the only one.
export function isolateClass(label) {
  const others = present.filter((other) => other !== label);
  const alone = !state.hidden.has(label) && others.every((other) => state.hidden.has(other));
  set({ hidden: new Set(alone ? [] : others) });
}

export function buildLegend() {
  const chips = present.map((label, position) => {
    const toggle = make(
      "button",
      { type: "button", className: "chip" },
      swatch(label),
      make("span", { textContent: facts.classes[label] }),
    );
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
  watch(["theme"], () => {
    for (const each of document.querySelectorAll(".swatch, .mix span"))
      each.style.color = colorOf(Number(each.dataset.label));
  });
}
