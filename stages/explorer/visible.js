// Visibility of points.

import { count, facts } from "./facts.js";
import { state } from "./state.js";

let isolated = { of: null, points: null };

function isolatedPoints() {
  if (isolated.of !== state.selected) isolated = { of: state.selected, points: new Set(state.selected) };
  return isolated.points;
}

// Not in a hidden class, and selected if only the selection is shown.
export const isShown = (point) =>
  !state.hidden.has(facts.labels[point]) && (!state.isolated || isolatedPoints().has(point));

export const allPoints = Array.from({ length: count }, (_, point) => point);
export const shownPoints = () => allPoints.filter(isShown);
