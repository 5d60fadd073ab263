// Start: unpack, build each part, show the state that the URL asks for.

async function start() {
  const model = loadModel(); // its inflating and Plotly's loading go on side by side
  await loadPlotly();
  await model;
  Object.assign(state, restored());
  buildTheme();
  buildLegend();
  buildPoint();
  buildDecode();
  buildInterpolate();
  buildEpochs();
  buildHeader();
  element("share").onclick = copyLink;
  set({ ...state }); // every part shows itself
  await buildPlot();
  buildKeys();
  addEventListener("hashchange", () => {
    steps.stop();
    epochs.stop();
    set(restored());
  });
  window.explorer = { decode, encode, state, set, settled }; // for the console
  performance.mark("interactive");
  document.documentElement.dataset.ready = "true";
  await buildTraining();
  document.documentElement.dataset.complete = "true";
}

try {
  await start();
} catch (error) {
  element("problem").textContent = `The page could not start (${error.message}). It needs a browser of 2024 or later.`;
  element("problem").hidden = false;
  throw error;
}
