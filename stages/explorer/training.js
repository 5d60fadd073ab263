// The card on training and quality.

import { buildCurve } from "./curve.js";
import { describe, element } from "./dom.js";
import { facts } from "./facts.js";
import { figure, plain } from "./format.js";

export function buildTraining() {
  element("footer").textContent = `${facts.dataset} · this page makes no network request`;
  describe(
    element("figures"),
    facts.figures.map(({ label, value }) => [label, figure(value)]),
  );
  describe(
    element("training"),
    facts.training.map(({ label, value }) => [label, plain(value)]),
  );
  buildCurve();
}
