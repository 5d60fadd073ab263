// Grid of all points or of a selection, sorted: pictures above their reconstructions, with export.

import { copyText } from "./clipboard.js";
import { data } from "./data.js";
import { element, make } from "./dom.js";
import { saveFile } from "./download.js";
import { facts, labeled } from "./facts.js";
import { grouped } from "./format.js";
import { pairOf } from "./point.js";
import { lostOf } from "./quality.js";
import { set, state, watch } from "./state.js";
import { csvOf } from "./table.js";
import { shownPoints } from "./visible.js";

const PAGE = 60; // pictures that are listed at once, and more when asked for
const MAX_PRINTED = 1000; // on paper, which has no button for more
let listed = PAGE;

const text = (a, b) => a.localeCompare(b, "en", { numeric: true });
const ORDERS = {
  index: (a, b) => facts.indices[a] - facts.indices[b],
  class: (a, b) => facts.labels[a] - facts.labels[b],
  error: (a, b) => data.snapshots[state.epoch].errors[b] - data.snapshots[state.epoch].errors[a],
  lost: (a, b) => (lostOf(b, state.epoch) ?? -1) - (lostOf(a, state.epoch) ?? -1),
  file: (a, b) => text(data.files[a], data.files[b]),
};
export const orders = () =>
  Object.keys(ORDERS).filter((name) => (name !== "class" || labeled) && (name !== "file" || data.files.length));

// Visible points, optionally only of the selection, in the chosen order.
function gridPoints() {
  const selected = new Set(state.selected);
  const wanted = state.gridSelected && selected.size;
  const points = wanted ? shownPoints().filter((point) => selected.has(point)) : shownPoints();
  return points.sort((a, b) => ORDERS[state.gridOrder](a, b) || a - b);
}

function showGrid() {
  const points = gridPoints();
  const none = !state.selected.length;
  element("grid-selected").disabled = none;
  element("grid-selected").checked = state.gridSelected && !none;
  element("grid-order").value = state.gridOrder;
  const first = state.printing && points.length > listed ? `, the first ${grouped(listed)} on paper` : "";
  element("grid-text").textContent = `${grouped(points.length)} of ${grouped(facts.indices.length)} points${first}`;
  element("grid").replaceChildren(...points.slice(0, listed).map((point) => pairOf(point, state.epoch)));
  element("grid-more").hidden = points.length <= listed;
  element("grid-more").textContent = `Show ${grouped(Math.min(PAGE, points.length - listed))} more`;
}

// Print all points, up to MAX_PRINTED.
export function gridToPaper() {
  listed = state.printing ? MAX_PRINTED : PAGE;
  showGrid();
}

// Export buttons of the selection and the grid: to a file, and to the clipboard.
function offer(save, copy, points) {
  element(save).onclick = () => saveFile(new Blob([csvOf(points())], { type: "text/csv" }), "points.csv");
  element(copy).onclick = async () => {
    const copied = await copyText(csvOf(points()));
    element(copy).textContent = copied ? "Copied" : "Not allowed here: save it";
    setTimeout(() => (element(copy).textContent = "Copy CSV"), 2000);
  };
}

export function buildGrid() {
  const titles = { index: "index", class: "class", error: "error", lost: "variance lost", file: "file" };
  element("grid-order").append(...orders().map((value) => make("option", { value, textContent: titles[value] })));
  element("grid-order").onchange = () => set({ gridOrder: element("grid-order").value });
  element("grid-selected").onchange = () => set({ gridSelected: element("grid-selected").checked });
  element("grid-more").onclick = () => {
    listed += PAGE;
    showGrid();
  };
  element("selection-all").onclick = () => {
    set({ gridSelected: true });
    element("grid-card").scrollIntoView({ block: "start" });
  };
  offer("save-grid", "copy-grid", gridPoints);
  offer("save-selection", "copy-selection", () => state.selected);
  watch(["gridOrder", "gridSelected", "selected", "isolated", "hidden"], () => (listed = PAGE));
  const lazily = new IntersectionObserver(
    ([{ isIntersecting }]) => {
      if (!isIntersecting) return;
      lazily.disconnect();
      showGrid();
    },
    { rootMargin: "400px" },
  );
  // Only near the visible area, because decoding sixty pictures takes a moment.
  watch(["gridOrder", "gridSelected", "selected", "isolated", "hidden", "epoch", "theme"], () => {
    lazily.disconnect();
    lazily.observe(element("grid-card"));
  });
}
