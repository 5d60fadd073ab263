// The card at the point under the mouse.

import { errorOf } from "./data.js";
import { element } from "./dom.js";
import { className } from "./facts.js";
import { imageName } from "./names.js";
import { drawImage, drawReconstruction } from "./pictures.js";
import { marksOf } from "./point.js";
import { state, watch } from "./state.js";

export const mouse = { x: 0, y: 0 };
const finger = matchMedia("(pointer: coarse), (max-width: 700px)"); // which the card would lie under, at the plot

export function buildHover() {
  addEventListener("scroll", hideHover, { passive: true });
  watch(["epoch", "hidden", "view"], hideHover);
}

export function showHover(point) {
  drawImage(element("hover-image"), point);
  drawReconstruction(element("hover-reconstruction"), point, state.epoch);
  showCard(point, [...marksOf(point), className(point)], `${imageName(point)} · error ${errorOf(point, state.epoch)}`);
}

// Show the card at the mouse; without a point, for a place without an image.
export function showCard(point, name, text) {
  const card = element("hover");
  element("hover-image").parentNode.hidden = point === null;
  element("hover-class").replaceChildren(...name);
  element("hover-facts").textContent = text;
  card.hidden = false;
  card.classList.toggle("docked", finger.matches);
  if (finger.matches) {
    card.style.left = card.style.top = "";
    return;
  }
  const { width, height } = card.getBoundingClientRect();
  const right = mouse.x + 18 + width < innerWidth ? mouse.x + 18 : mouse.x - 18 - width;
  card.style.left = `${Math.max(8, right)}px`;
  card.style.top = `${Math.min(Math.max(8, mouse.y - height / 2), innerHeight - height - 8)}px`;
}

export function hideHover() {
  element("hover").hidden = true;
}
