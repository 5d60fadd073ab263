// Decode anywhere: a slider for each latent dimension, and a pad on which two of them can be dragged.

const sliders = [];
const padAxes = [0, 1];
const readable = (value) => value.toFixed(2).replace("-", "−");

// Going somewhere shows the epoch whose decoder makes the picture: the one shown already, where the page has that.
function goTo(latent, rest = {}) {
  const epoch = decodingEpoch();
  set({ latent: latent.map(within), ...(epoch === state.epoch ? {} : { epoch }), ...rest });
}

const goToPoint = () => goTo(latentOf(state.point, decodingEpoch()));

function buildSliders() {
  facts.sliders.forEach(([low, high], dimension) => {
    const id = `z${dimension + 1}`;
    const input = make("input", { type: "range", id, min: low, max: high, step: (high - low) / 400 });
    const output = make("output");
    output.htmlFor = id;
    input.oninput = () => goTo(state.latent.map((value, i) => (i === dimension ? input.valueAsNumber : value)));
    sliders.push({ input, output });
    element("sliders").append(make("label", { htmlFor: id, textContent: id }), input, output);
  });
}

function showDecoded() {
  drawPixels(element("decoded"), decode(state.latent));
  state.latent.forEach((value, dimension) => {
    const { input, output } = sliders[dimension];
    // Setting a slider rounds to its steps, which must not push the one that is being dragged.
    if (document.activeElement !== input || Math.abs(input.valueAsNumber - value) > Number(input.step)) input.value = value;
    output.textContent = readable(value);
    input.setAttribute("aria-valuetext", readable(value));
  });
  const place = placed(state.latent).slice(0, facts.axes.length);
  element("decode-note").hidden = place.every((value, i) => clamp(value, i) === value);
  const borrowed = decodingEpoch() !== state.epoch;
  element("decode-epoch").hidden = !borrowed;
  if (borrowed) {
    element("decode-epoch").textContent =
      `Decoded as after epoch ${facts.epochs[last]}: the page has no decoder of epoch ${facts.epochs[state.epoch]}, and moving here goes to epoch ${facts.epochs[last]}.`;
  }
  drawPad();
}

function padPlace(latent) {
  const side = element("pad").clientWidth;
  return padAxes.map((dimension, i) => {
    const [low, high] = facts.sliders[dimension];
    const share = (latent[dimension] - low) / (high - low);
    return (i === 0 ? share : 1 - share) * side;
  });
}

function drawPad() {
  if (size < 2) return;
  const pad = element("pad");
  const side = pad.clientWidth;
  const ratio = devicePixelRatio || 1;
  if (pad.width !== Math.round(side * ratio)) pad.width = pad.height = Math.round(side * ratio);
  const context = pad.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, side, side);
  for (let point = 0; point < count; point++) {
    if (state.hidden.has(facts.labels[point])) continue;
    const [x, y] = padPlace(latentOf(point, decodingEpoch()));
    context.fillStyle = colorOf(facts.labels[point]);
    context.fillRect(x - 1.5, y - 1.5, 3, 3);
  }
  const [x, y] = padPlace(state.latent);
  context.strokeStyle = themed("grid");
  context.beginPath();
  context.moveTo(x, 0);
  context.lineTo(x, side);
  context.moveTo(0, y);
  context.lineTo(side, y);
  context.stroke();
  context.fillStyle = themed("ink");
  context.strokeStyle = themed("surface");
  context.lineWidth = 2;
  context.beginPath();
  context.arc(x, y, 7, 0, 2 * Math.PI);
  context.fill();
  context.stroke();
}

function dragPad(event) {
  const box = element("pad").getBoundingClientRect();
  const shares = [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height];
  const latent = [...state.latent];
  padAxes.forEach((dimension, i) => {
    const [low, high] = facts.sliders[dimension];
    latent[dimension] = low + Math.min(1, Math.max(0, shares[i])) * (high - low);
  });
  goTo(latent);
}

function buildPad() {
  const pad = element("pad");
  if (size < 2) {
    element("pad-figure").hidden = true;
    return;
  }
  pad.onpointerdown = (event) => {
    pad.setPointerCapture(event.pointerId);
    dragPad(event);
  };
  pad.onpointermove = (event) => pad.hasPointerCapture(event.pointerId) && dragPad(event);
  element("pad-caption").textContent = "Drag here";
  if (size > 2) buildPadAxes();
  addEventListener("resize", drawPad);
}

function buildPadAxes() {
  ["Across", "Up"].forEach((name, i) => {
    const select = make("select", { id: `pad-${name.toLowerCase()}` });
    facts.sliders.forEach((_, dimension) => select.append(make("option", { value: dimension, textContent: `z${dimension + 1}` })));
    select.value = padAxes[i];
    select.onchange = () => {
      const other = padAxes[1 - i];
      if (Number(select.value) === other) {
        padAxes[1 - i] = padAxes[i]; // the two swap
        element(`pad-${i === 0 ? "up" : "across"}`).value = padAxes[i];
      }
      padAxes[i] = Number(select.value);
      drawPad();
    };
    element("pad-axes").append(make("label", {}, name, select));
  });
}

function buildDecode() {
  buildSliders();
  buildPad();
  element("decode-point").onclick = goToPoint;
  watch(["latent", "epoch"], showDecoded);
  watch(["hidden", "theme"], drawPad);
}
