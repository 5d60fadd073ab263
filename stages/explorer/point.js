// The chosen point: its image, its reconstruction and its neighbors.

import { swatch } from "./classes.js";
import { data, errorOf } from "./data.js";
import { describe, element, make } from "./dom.js";
import { className, count, facts, labeled } from "./facts.js";
import { grouped, percent } from "./format.js";
import { captionOf, nameOf } from "./names.js";
import { neighborsOf } from "./neighbors.js";
import { drawImage, drawReconstruction } from "./pictures.js";
import { stopPlaying } from "./players.js";
import { lostOf, lostText, worseThan } from "./quality.js";
import { set, state, watch } from "./state.js";
import { allPoints, isShown } from "./visible.js";

// The marker of a point's class, if any.
export const marksOf = (point) => (labeled ? [swatch(facts.labels[point])] : []);

export function choose(point) {
  set({ point });
  const { point: chosen, epoch } = state;
  element("live").textContent = `Point ${chosen + 1} of ${count}: ${nameOf(chosen)}, error ${errorOf(chosen, epoch)}`;
}

// The next visible point, in steps of 1 or -1; none if there is no other.
export function chooseNext(step) {
  const order = allPoints.map((_, i) => (((state.point + step * (i + 1)) % count) + count) % count);
  const next = order.find(isShown);
  if (next !== undefined) choose(next);
}

// A button that chooses the point: image, optional reconstruction, caption.
function thumbnail(point, caption, { pair = false, name = nameOf(point) } = {}) {
  const image = make("canvas", { className: "picture" });
  drawImage(image, point);
  const pictures = [image];
  if (pair) {
    pictures.push(make("canvas", { className: "picture" }));
    drawReconstruction(pictures[1], point, state.epoch);
  }
  const button = make("button", { type: "button", className: "thumbnail", title: name }, ...pictures);
  button.append(make("span", {}, ...marksOf(point), caption));
  button.setAttribute("aria-label", name);
  button.dataset.point = point;
  button.onclick = () => {
    stopPlaying();
    choose(point);
  };
  return button;
}

// With its reconstruction and its error.
export function pairOf(point, epoch) {
  const lost = lostText(lostOf(point, epoch));
  const name = `${nameOf(point)}, variance lost: ${lost}, error ${errorOf(point, epoch)}`;
  const button = thumbnail(point, lost, { pair: true, name });
  if (captionOf(point)) button.append(make("span", { className: "file", textContent: captionOf(point) }));
  return button;
}

// The share of its variance that a picture loses, and its percentile.
const lostNodes = (lost) => [
  lostText(lost),
  ...(lost === null
    ? []
    : [make("small", { textContent: `worse than ${percent(worseThan(lost, state.epoch))}\nof the points` })]),
];

function showPoint() {
  const { point, epoch } = state;
  drawImage(element("point-image"), point);
  drawReconstruction(element("point-reconstruction"), point, epoch);
  element("point-image").setAttribute("aria-label", nameOf(point));
  element("point-reconstruction").setAttribute("aria-label", `Its reconstruction after epoch ${facts.epochs[epoch]}`);
  element("point-number").value = point + 1;
  element("point-file").hidden = !data.files.length;
  element("point-file").textContent = data.files[point] ?? "";
  describe(element("point-facts"), [
    ...(labeled ? [["Class", swatch(facts.labels[point]), className(point)]] : []),
    ["Index", `${facts.indices[point]} of ${facts.split}`],
    ["Variance lost", ...lostNodes(lostOf(point, epoch))],
    ["Error", errorOf(point, epoch)],
  ]);
}

export const neighborButtons = (nearest) =>
  nearest.map(({ point, distance }) => {
    const far = distance.toPrecision(2);
    return thumbnail(point, far, { name: `${nameOf(point)}, at a distance of ${far}` });
  });

function showNeighbors() {
  const nearest = neighborsOf(state.point, state.epoch);
  element("neighbors-title").textContent = nearest.length ? "Nearest in the latent space" : "It has no neighbors";
  element("neighbors").replaceChildren(...neighborButtons(nearest));
}

export function buildPoint() {
  const number = element("point-number");
  number.max = count;
  element("point-count").textContent = `of ${grouped(count)}`;
  number.setAttribute("aria-label", `Point, 1 to ${count}`);
  number.onchange = () => {
    const wanted = Math.round(Number(number.value));
    choose(Math.min(count, Math.max(1, wanted || 1)) - 1);
  };
  element("previous-point").onclick = () => chooseNext(-1);
  element("next-point").onclick = () => chooseNext(1);
  element("skip").onclick = (event) => {
    event.preventDefault();
    number.focus();
  };
  watch(["point", "epoch"], showPoint);
  watch(["point", "epoch", "hidden", "isolated", "selected"], showNeighbors);
}
