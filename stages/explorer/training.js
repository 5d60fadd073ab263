// How the model was trained and how good it is.

function figure(value) {
  if (Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(Math.abs(value) < 0.1 ? 3 : 4)));
}

function plain(value) {
  if (Array.isArray(value)) return value.join(", ");
  return value === null ? "none" : String(value);
}

function buildTraining() {
  element("footer").textContent = `${facts.dataset} · this page makes no network request`;
  describe(element("figures"), facts.figures.map(({ label, value }) => [label, figure(value)]));
  describe(element("training"), facts.training.map(({ label, value }) => [label, plain(value)]));
  buildCurve();
}

function buildHeader() {
  const badge = element("dataset");
  badge.textContent = facts.dataset;
  badge.classList.toggle("synthetic", facts.dataset === "synthetic");
  if (facts.dataset === "synthetic") badge.title = "Drawn by the project itself: no real images";
  const which = { first: "The first ", random: "A random ", balanced: "A class-balanced " }[facts.selection] ?? "";
  const sizes = [...facts.encoderSizes, ...facts.encoderSizes.slice(0, -1).reverse()].join("–");
  element("about").textContent = `${which}${count} ${facts.split === "train" ? "training" : facts.split} images, through a ${sizes} autoencoder`;
}
