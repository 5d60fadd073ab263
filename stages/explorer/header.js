// The introduction: data set, quality, and first steps.

import { element } from "./dom.js";
import { count, facts, size } from "./facts.js";
import { grouped, percent } from "./format.js";
import { choose } from "./point.js";
import { lostOf } from "./quality.js";
import { state } from "./state.js";
import { shownPoints } from "./visible.js";

// Explained variance of the test images.
function kept() {
  const of = (key) => facts.figures.find((figure) => figure.key === key)?.value;
  const [error, mean] = [of("autoencoder, mse"), of("mean image, mse")];
  return mean > 0 && error < mean ? ` It keeps ${percent(1 - error / mean)} of what sets the test images apart.` : "";
}

// Scroll to a card and focus its first control.
function visit(card) {
  card.scrollIntoView({ block: "nearest" });
}

function showWorst() {
  const lost = (point) => lostOf(point, state.epoch) ?? -1;
  choose(shownPoints().reduce((worst, point) => (lost(point) > lost(worst) ? point : worst)));
  visit(element("point-title").closest(".card"));
}

export function buildHeader() {
  const badge = element("dataset");
  badge.textContent = facts.dataset;
  badge.classList.toggle("synthetic", facts.dataset === "synthetic");
  if (facts.dataset === "synthetic") badge.title = "Drawn by the project itself: no real images";
  const numbers = size === 1 ? "one number" : `${size} numbers`;
  element("lead").textContent =
    `Each point is a picture, squeezed to ${numbers} and drawn again from them; pictures that lie near each other are alike to the model.${kept()}`;
  const whole = facts.split === "train" && facts.cloud?.count === count;
  const selections = { first: "The first ", random: "A random ", balanced: "A class-balanced " };
  const which = whole ? "All " : (selections[facts.selection] ?? "");
  const sizes = [...facts.encoderSizes, ...facts.encoderSizes.slice(0, -1).reverse()].join("–");
  element("about").textContent =
    `${which}${grouped(count)} ${facts.split === "train" ? "training" : facts.split} images, through a ${sizes} autoencoder`;
  element("way-worst").onclick = showWorst;
  element("way-own").onclick = () => visit(element("upload-card"));
}
