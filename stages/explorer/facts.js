// Facts of the run: names, sizes, labels.

import { element } from "./dom.js";

export const facts = JSON.parse(element("facts").textContent);
export const count = facts.indices.length;
export const last = facts.epochs.length - 1; // position of the last epoch among those shown
export const size = facts.sliders.length; // of the latent
export const labeled = facts.classes.length > 0;
export const present = facts.classes.length ? [...new Set(facts.labels)].sort((a, b) => a - b) : [];
export const className = (point) => facts.classes[facts.labels[point]] ?? "";
