// Mouse, pen and fingers on the plot: one turns (a flat plot moves), the right button or a key moves, two fingers zoom
// and move, the wheel zooms at the cursor, a press that stays still chooses.

import { element } from "./dom.js";
import { hideHover, mouse, showHover } from "./hover.js";
import { flat } from "./latent_axes.js";
import { plot, plotBox, plotSize } from "./plot.js";
import { choose } from "./point.js";
import { movedView, placeUnder, project, turnedView, zoomedView } from "./projection.js";
import { set, state } from "./state.js";
import { isShown } from "./visible.js";

const REACH = { mouse: 8, pen: 12, touch: 24 }; // pixels around a press in which a point is meant
const STILL = 8; // pixels that a press may move; more is a drag
const RADIANS = 0.0085; // a pixel
const WHEEL = 0.0016; // of zoom's logarithm, a pixel of the wheel

export function buildGestures() {
  element("zoom-in").onclick = () => zoom(1.25);
  element("zoom-out").onclick = () => zoom(0.8);
  element("reset-view").onclick = resetView;
  const fingers = new Map(); // by pointer: where it is, [x, y]
  let pressed = null; // what may become a press: {x, y, type}
  let pinch = null; // {x, y, apart} of two fingers, when last looked at
  let taken = false; // this drag belongs to plot.drag

  const middleOf = () => {
    const [[x1, y1], [x2, y2]] = [...fingers.values()];
    return { x: (x1 + x2) / 2, y: (y1 + y2) / 2, apart: Math.hypot(x1 - x2, y1 - y2) };
  };

  plotBox.addEventListener("pointerdown", (event) => {
    const { pointerId, clientX: x, clientY: y, pointerType: type, button } = event;
    if (button > 2) return;
    plotBox.setPointerCapture(pointerId);
    fingers.set(pointerId, [x, y]);
    if (fingers.size === 1) {
      pressed = button === 0 ? { x, y, type } : null;
      taken = button === 0 && plot.drag !== null;
      if (taken) plot.drag("start", x, y);
      return;
    }
    if (taken) plot.drag("cancel", x, y);
    pressed = null;
    taken = false;
    if (fingers.size === 2) pinch = middleOf();
  });

  plotBox.addEventListener("pointermove", (event) => {
    const { pointerId, clientX: x, clientY: y, pointerType: type } = event;
    const before = fingers.get(pointerId);
    if (!before) return type === "mouse" && hoverAt(x, y);
    fingers.set(pointerId, [x, y]);
    if (pressed && Math.hypot(x - pressed.x, y - pressed.y) > STILL) {
      pressed = null;
      hideHover();
    }
    if (fingers.size > 2) return;
    if (fingers.size === 2) {
      const now = middleOf();
      const { left, top } = plotBox.getBoundingClientRect();
      moveView(now.x - pinch.x, now.y - pinch.y);
      if (pinch.apart > 0 && now.apart > 0) zoomAt(now.apart / pinch.apart, now.x - left, now.y - top, 0);
      pinch = now;
    } else if (taken) {
      plot.drag("move", x, y);
    } else if (!pressed) {
      const [dx, dy] = [x - before[0], y - before[1]];
      if (flat || event.buttons & 2 || event.ctrlKey || event.shiftKey) moveView(dx, dy);
      else set({ view: turnedView(plot.projection(), -dx * RADIANS, dy * RADIANS) });
    }
  });

  const lift = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    const { clientX: x, clientY: y, pointerType: type } = event;
    const ended = event.type === "pointerup";
    if (taken) {
      taken = false;
      plot.drag?.(ended ? "end" : "cancel", x, y);
    }
    if (pressed && ended && !fingers.size) pressAt(pressed.x, pressed.y, type);
    pressed = null;
    pinch = fingers.size === 2 ? middleOf() : null;
  };
  plotBox.addEventListener("pointerup", lift);
  plotBox.addEventListener("pointercancel", lift);
  plotBox.addEventListener("contextmenu", (event) => event.preventDefault());
  plotBox.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && hideHover());
  plotBox.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1;
      const { left, top } = plotBox.getBoundingClientRect();
      zoomAt(Math.exp(-event.deltaY * lines * WHEEL), event.clientX - left, event.clientY - top);
    },
    { passive: false },
  );
}

// A press chooses the point under it, or the nearest within reach.
function pressAt(x, y, type) {
  const point = plot.pointAt(x, y, REACH[type] ?? 8);
  if (point === null) {
    hideHover();
    return plot.cloudPressed?.(plot.cloudAt(x, y, REACH[type] ?? 8), x, y);
  }
  choose(point);
  if (type === "mouse") return undefined;
  Object.assign(mouse, { x, y });
  return showHover(point);
}

function hoverAt(x, y) {
  Object.assign(mouse, { x, y });
  const point = plot.pointAt(x, y, REACH.mouse);
  if (point !== null) return showHover(point);
  hideHover();
  return plot.cloudHovered?.(plot.cloudAt(x, y, REACH.mouse / 2), x, y);
}

const moveView = (dx, dy) => set({ view: movedView(plot.projection(), dx, dy) });

// Zoom so that what is under a pixel of the plot stays there: the point nearest to it, or the place itself.
function zoomAt(factor, x, y, reach = 24) {
  const projection = plot.projection();
  const { left, top } = plotBox.getBoundingClientRect();
  const point = reach ? plot.pointAt(x + left, y + top, reach) : null;
  const depth = point === null ? 0 : project(projection, plot.placeOf(point))[2];
  set({ view: zoomedView(projection, factor, placeUnder(projection, x, y, depth)) });
}

// Zoom by key or button: at the chosen point, or at the center if that is not visible.
export function zoom(factor) {
  const projection = plot.projection();
  const { width, height } = plotSize;
  const place = plot.placeOf(state.point);
  const [x, y] = project(projection, place);
  const inView = isShown(state.point) && x >= 0 && y >= 0 && x <= width && y <= height;
  set({ view: zoomedView(projection, factor, inView ? place : placeUnder(projection, width / 2, height / 2)) });
}

const ARROW_PIXELS = 14;

// Move by arrow key: shares of the view, right and up.
export function turn(right, up) {
  if (flat) return moveView(-right * ARROW_PIXELS * 8, up * ARROW_PIXELS * 8);
  return set({ view: turnedView(plot.projection(), right, up) });
}

export const pan = (right, up) => moveView(-right * ARROW_PIXELS * 8, up * ARROW_PIXELS * 8);
export const resetView = () => set({ view: null });
