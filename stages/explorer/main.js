// Start: unpack, build each part, show the state that the URL asks for.

async function start() {
  await load();
  Object.assign(state, restored());
  buildTheme();
  buildLegend();
  buildPoint();
  buildDecode();
  buildInterpolate();
  buildEpochs();
  buildKeys();
  buildHeader();
  element("share").onclick = copyLink;
  set({ ...state }); // every part shows itself
  await buildPlot();
  await buildTraining();
  addEventListener("hashchange", () => set(restored()));
  window.explorer = { decode, state, set }; // for the console
  performance.mark("interactive");
  document.documentElement.dataset.ready = "true";
}

try {
  await start();
} catch (error) {
  element("problem").textContent = `The page could not start (${error.message}). It needs a browser of 2024 or later.`;
  element("problem").hidden = false;
  throw error;
}
