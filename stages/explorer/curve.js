// The loss curve, as SVG: the style sheet colors it.

import { ticks } from "./axes.js";
import { element, svg } from "./dom.js";
import { goToEpoch } from "./epochs.js";
import { facts } from "./facts.js";
import { figure, tickText } from "./format.js";
import { extent, lengthOf, widened } from "./ranges.js";
import { state, watch } from "./state.js";

const curve = element("curve");
const CURVE_MARGIN = { left: 52, right: 10, top: 12, bottom: 40 };
const PRINTED = [330, 250]; // width and height in print
const LETTER = 7; // pixels of a name, at most
const MANY_EPOCHS = 40; // from here on a line without dots

// Position of an epoch and a loss, in pixels.
function curveScales() {
  const { left, right, top, bottom } = CURVE_MARGIN;
  const [width, height] = state.printing ? PRINTED : [curve.clientWidth, curve.clientHeight];
  const margin = facts.epochsTrained > 1 ? (facts.epochsTrained - 1) * 0.02 : 0.5;
  const epochs = [1 - margin, facts.epochsTrained + margin];
  const losses = widened(extent(facts.curve.flatMap((row) => row.slice(1))));
  return {
    width,
    height,
    epochs,
    losses,
    x: (epoch) => left + ((epoch - epochs[0]) / lengthOf(epochs)) * (width - left - right),
    y: (loss) => height - bottom - ((loss - losses[0]) / lengthOf(losses)) * (height - top - bottom),
    epochAt: (x) => epochs[0] + ((x - left) / (width - left - right)) * lengthOf(epochs),
  };
}

export function drawCurve() {
  const scales = curveScales();
  const { width, height, x, y } = scales;
  if (!width) return;
  const { left, right, top, bottom } = CURVE_MARGIN;
  const text = (value, attributes) => svg("text", attributes, value);
  const grid = ticks(scales.losses, (height - top - bottom) / 45).flatMap((loss) => [
    svg("path", { class: "grid", d: `M${left} ${y(loss)}H${width - right}` }),
    text(tickText(loss), { x: left - 6, y: y(loss) + 4, "text-anchor": "end" }),
  ]);
  const whole = ticks(scales.epochs, Math.min(facts.epochsTrained, (width - left - right) / 60)).filter(
    Number.isInteger,
  );
  const numbers = whole.map((epoch) => text(epoch, { x: x(epoch), y: height - bottom + 17, "text-anchor": "middle" }));
  const title = text("epoch", { x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle" });
  const lines = facts.curveOf.flatMap((name, i) => {
    const places = facts.curve.map((row) => [x(row[0]), y(row[i + 1])].map((value) => value.toFixed(1)));
    const dots =
      places.length > MANY_EPOCHS ? [] : places.map(([cx, cy]) => svg("circle", { class: name, cx, cy, r: 3 }));
    return [svg("path", { class: `line ${name}`, d: `M${places.map((place) => place.join(" ")).join("L")}` }), ...dots];
  });
  const names = facts.curveOf.flatMap((name, i) => {
    const end = width - right - 40 - (i ? 0 : 38 + LETTER * facts.curveOf[1].length);
    return [
      svg("path", { class: `line ${name}`, d: `M${end - 28 - LETTER * name.length} ${top + 2}h22` }),
      text(name, { x: end, y: top + 6, "text-anchor": "end", class: "name" }),
    ];
  });
  const shownEpoch = svg("path", {
    class: "now",
    id: "curve-epoch",
    d: `M${x(facts.epochs[state.epoch])} ${top}V${height - bottom}`,
  });
  shownEpoch.dataset.epoch = facts.epochs[state.epoch];
  const read = svg("g", { class: "read" });
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    ...grid,
    ...numbers,
    title,
    shownEpoch,
    ...lines,
    ...names,
    read,
  );
  curve.replaceChildren(picture);
}

const rowAt = (epoch) =>
  facts.curve.reduce((best, row) => (Math.abs(row[0] - epoch) < Math.abs(best[0] - epoch) ? row : best));

// The losses under the mouse, as text.
function readCurve(event) {
  const { x, epochAt, width, height } = curveScales();
  const row = rowAt(epochAt(event.clientX - curve.getBoundingClientRect().left));
  const at = x(row[0]);
  const { top, bottom } = CURVE_MARGIN;
  const lines = [`epoch ${row[0]}`, ...facts.curveOf.map((name, i) => `${name} ${figure(row[i + 1])}`)];
  const leftwards = at > width / 2;
  const say = lines.map((text, i) =>
    svg(
      "text",
      { x: at + (leftwards ? -8 : 8), y: top + 38 + 16 * i, "text-anchor": leftwards ? "end" : "start", class: "name" },
      text,
    ),
  );
  curve
    .querySelector(".read")
    .replaceChildren(svg("path", { class: "grid", d: `M${at} ${top}V${height - bottom}` }), ...say);
}

export function buildCurve() {
  const [epoch, ...losses] = facts.curve.at(-1);
  const said = facts.curveOf.map((name, i) => `a ${name} loss of ${figure(losses[i])}`);
  curve.setAttribute("aria-label", `Loss curve: after epoch ${epoch} ${said.join(" and ")}`);
  curve.addEventListener("pointermove", readCurve);
  curve.addEventListener("pointerleave", () => curve.querySelector(".read").replaceChildren());
  curve.addEventListener("click", (event) => {
    const wanted = curveScales().epochAt(event.clientX - curve.getBoundingClientRect().left);
    const distance = (each) => Math.abs(each - wanted);
    const nearest_ = facts.epochs.reduce((best, each) => (distance(each) < distance(best) ? each : best));
    goToEpoch(facts.epochs.indexOf(nearest_));
  });
  new ResizeObserver(drawCurve).observe(curve);
  watch(["epoch", "printing"], drawCurve);
}
