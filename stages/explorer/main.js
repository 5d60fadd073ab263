// Start: unpack, build each part, show the state that the URL asks for.

async function start() {
  await loadModel();
  Object.assign(state, restored());
  buildTheme();
  buildLegend();
  buildPoint();
  buildDecode();
  buildInterpolate();
  buildEpochs();
  buildHeader();
  buildErrors();
  buildSelect();
  buildMap();
  buildOwn();
  buildSearch();
  buildCloud();
  buildKeys();
  element("share").onclick = copyLink;
  buildPlot();
  buildTraining();
  set({ ...state }); // every part shows itself
  addEventListener("hashchange", () => {
    stopPlaying();
    set(restored());
  });
  window.explorer = { decode, encode, state, set, settled, plot, marked }; // for the console
  performance.mark("interactive");
  document.documentElement.dataset.ready = "true";
}

try {
  await start();
} catch (error) {
  element("problem").textContent = `The page could not start (${error.message}). It needs a browser of 2024 or later.`;
  element("problem").hidden = false;
  document.documentElement.dataset.failed = "true";
  throw error;
}
