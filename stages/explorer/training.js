// How the model was trained and how good it is.

const curve = element("curve");

function figure(value) {
  if (Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(Math.abs(value) < 0.1 ? 3 : 4)));
}

function plain(value) {
  if (Array.isArray(value)) return value.join(", ");
  return value === null ? "none" : String(value);
}

function curveTraces() {
  const [epoch, train, test] = [0, 1, 2].map((column) => facts.curve.map((row) => row[column]));
  const mode = facts.curve.length > 40 ? "lines" : "lines+markers";
  const line = (name, y, color, dash) => ({ x: epoch, y, name, mode, line: { color, width: 2, dash }, marker: { size: 5, color } });
  return [line("train", train, themed("muted"), "dot"), line("test", test, themed("ink"), "solid")];
}

function curveLayout() {
  const color = themed("muted");
  const axisStyle = { color, gridcolor: themed("grid"), zeroline: false, fixedrange: true };
  const epoch = facts.epochs[state.epoch];
  const whole = facts.epochsTrained < 8 ? { dtick: 1 } : {};
  const span = facts.epochsTrained > 1 ? (facts.epochsTrained - 1) * 0.03 : 0.5;
  return {
    margin: { l: 48, r: 8, t: 4, b: 36 },
    height: 270,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color },
    hovermode: "x unified",
    hoverlabel: { bgcolor: themed("surface"), bordercolor: themed("grid"), font: { color: themed("ink") } },
    legend: { orientation: "h", x: 1, xanchor: "right", y: 1, yanchor: "top", bgcolor: themed("surface"), font: { color: themed("ink") } },
    xaxis: { ...axisStyle, ...whole, title: { text: "epoch" }, range: [1 - span, facts.epochsTrained + span] },
    yaxis: { ...axisStyle, nticks: 5, tickformat: "~g" },
    shapes: [{ type: "line", x0: epoch, x1: epoch, yref: "paper", y0: 0, y1: 1, line: { color: themed("muted"), width: 1 } }],
  };
}

async function buildTraining() {
  element("footer").textContent = `${facts.dataset} · plotly.js ${Plotly.version} (MIT) · this page makes no network request`;
  describe(element("figures"), facts.figures.map(({ label, value }) => [label, figure(value)]));
  describe(element("training"), facts.training.map(({ label, value }) => [label, plain(value)]));
  const finalRow = facts.curve.at(-1);
  curve.setAttribute(
    "aria-label",
    `Loss curve: after epoch ${finalRow[0]} a train loss of ${figure(finalRow[1])} and a test loss of ${figure(finalRow[2])}`,
  );
  await Plotly.newPlot(curve, curveTraces(), curveLayout(), { displayModeBar: false, responsive: true, showTips: false });
  curve.on("plotly_click", ({ points: [{ x }] }) => {
    const distance = (epoch) => Math.abs(epoch - x);
    const nearest = facts.epochs.reduce((best, epoch) => (distance(epoch) < distance(best) ? epoch : best));
    goToEpoch(facts.epochs.indexOf(nearest));
  });
  watch(["epoch"], () => Plotly.relayout(curve, { "shapes[0].x0": facts.epochs[state.epoch], "shapes[0].x1": facts.epochs[state.epoch] }));
  watch(["theme"], () => Plotly.react(curve, curveTraces(), curveLayout()));
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
