// Light and dark, forced colors and paper.

import { element, make } from "./dom.js";
import { set, state, watch } from "./state.js";

const system = matchMedia("(prefers-color-scheme: dark)");
const forced = matchMedia("(forced-colors: active)");

// Paper is light, whatever the screen is; forced colors have a ground of their own.
export function isDark() {
  if (state.printing) return false;
  if (forced.matches) return luminance(themed("surface")) < 0.18;
  return state.theme === "auto" ? system.matches : state.theme === "dark";
}

// WCAG 2's, of "rgb(r, g, b)".
function luminance(color) {
  const linear = color
    .match(/[\d.]+/g)
    .slice(0, 3)
    .map((text) => {
      const value = Number(text) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

const themedColors = new Map();

// The color that the style sheet gives a name, for the current theme.
export function themed(name) {
  if (!themedColors.has(name)) {
    const probe = make("span");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    themedColors.set(name, getComputedStyle(probe).color);
    probe.remove();
  }
  return themedColors.get(name);
}

const THEMES = { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" };

export function nextTheme() {
  const order = Object.keys(THEMES);
  set({ theme: order[(order.indexOf(state.theme) + 1) % order.length] });
}

export function buildTheme() {
  element("theme").onclick = nextTheme;
  for (const query of [system, forced]) query.addEventListener("change", () => set({ theme: state.theme }));
  watch(["theme"], () => {
    document.documentElement.dataset.theme = state.printing ? "light" : state.theme;
    themedColors.clear();
    element("theme").textContent = THEMES[state.theme];
  });
}
