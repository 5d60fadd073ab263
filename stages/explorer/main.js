// Start: unpack the data, build all parts, show the state in the URL.

import { buildAxes } from "./axis_choice.js";
import { buildLegend } from "./classes.js";
import { buildCloud } from "./cloud.js";
import { buildColoring } from "./coloring.js";
import { loadModel } from "./data.js";
import { decode, encode } from "./decoder.js";
import { element, make } from "./dom.js";
import { buildEpochs } from "./epochs.js";
import { buildErrors, errorsShown } from "./errors.js";
import { buildGestures } from "./gestures.js";
import { buildGrid } from "./grid.js";
import { buildHeader } from "./header.js";
import { buildHover } from "./hover.js";
import { buildInterpolate } from "./interpolate.js";
import { buildKeys } from "./keys.js";
import { buildLink, rememberNow, restored } from "./link.js";
import { buildMap } from "./map.js";
import { buildMarks, marked } from "./marks.js";
import { stopPlaying } from "./players.js";
import { buildPlot, plot } from "./plot.js";
import { buildPoint } from "./point.js";
import { buildThumbnails } from "./point_pictures.js";
import { buildPrint } from "./print.js";
import { buildSave } from "./save.js";
import { buildSearch } from "./search.js";
import { buildSelect } from "./select.js";
import { buildDecode } from "./sliders.js";
import { set, state } from "./state.js";
import { buildTheme } from "./theme.js";
import { buildTraining } from "./training.js";
import { buildUpload } from "./upload.js";
import { buildXySlider } from "./xy_slider.js";

async function start() {
  await loadModel();
  Object.assign(state, restored());
  buildTheme();
  buildMarks();
  buildLegend();
  buildPoint();
  buildDecode();
  buildXySlider();
  buildInterpolate();
  buildEpochs();
  buildHeader();
  buildColoring();
  buildErrors();
  buildSelect();
  buildGrid();
  buildSave();
  buildThumbnails();
  buildMap();
  buildUpload();
  buildSearch();
  buildCloud();
  buildKeys();
  buildPlot();
  buildGestures();
  buildAxes();
  buildHover();
  buildPrint();
  buildTraining();
  buildLink();
  set({ ...state }); // every part shows itself
  addEventListener("hashchange", () => {
    stopPlaying();
    set(restored());
  });
  window.explorer = { decode, encode, state, set, settled, plot, marked }; // for the console
  performance.mark("interactive");
  document.documentElement.dataset.ready = "true";
}

// Wait until everything is drawn and the fragment is up to date.
async function settled() {
  await errorsShown;
  await plot.drawn();
  rememberNow();
}

// Delay the load event, which --print-to-pdf waits for: the document in a frame stays open until the page is complete.
function delayLoad() {
  const frame = make("iframe", { hidden: true });
  document.body.append(frame);
  frame.contentDocument.open();
  return () => frame.remove();
}

const endLoad = delayLoad();
try {
  await start();
  await errorsShown;
} catch (error) {
  element("problem").textContent = `The page could not start (${error.message}). It needs a browser of 2024 or later.`;
  element("problem").hidden = false;
  document.documentElement.dataset.failed = "true";
  throw error;
} finally {
  endLoad();
}
