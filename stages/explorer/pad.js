// The pad: two latent dimensions of the sliders', to be dragged at once, with the points where the epoch has them.

const padAxes = [0, 1];
const pad = element("pad");
const padContext = pad.getContext("2d", { willReadFrequently: true });
const padGround = make("canvas").getContext("2d", { willReadFrequently: true }); // all but the cursor

const padSide = () => pad.clientWidth;

function padPlace(latent) {
  return padAxes.map((dimension, i) => {
    const [low, high] = facts.sliders[dimension];
    const share = (latent[dimension] - low) / (high - low);
    return (i === 0 ? share : 1 - share) * padSide();
  });
}

// What lies under the points, for other parts of the page: functions (context, side in pixels).
const padLayers = [];
const padMarks = []; // and what lies over the cursor
let padStamps = null;

function drawPadGround() {
  const side = padSide();
  if (!side) return;
  const pixels = Math.round(side * ratio());
  pad.width = pad.height = padGround.canvas.width = padGround.canvas.height = pixels;
  padGround.setTransform(ratio(), 0, 0, ratio(), 0, 0);
  padGround.fillStyle = themed("surface");
  padGround.fillRect(0, 0, side, side);
  for (const draw of padLayers) draw(padGround, side);
  if (!state.map || state.mapPoints) drawPadPoints(pixels);
  drawPad();
}

function drawPadPoints(pixels) {
  const { latents } = data.snapshots[decodingEpoch()];
  const [x, y] = [new Float32Array(count), new Float32Array(count)];
  const order = new Uint32Array(count);
  let number = 0;
  const [a, b] = padAxes;
  const [[lowA, highA], [lowB, highB]] = padAxes.map((dimension) => facts.sliders[dimension]);
  for (let point = 0; point < count; point++) {
    if (!isShown(point)) continue;
    x[point] = ((latents[point * size + a] - lowA) / (highA - lowA)) * pixels;
    y[point] = (1 - (latents[point * size + b] - lowB) / (highB - lowB)) * pixels;
    order[number++] = point;
  }
  const { size: across, alpha } = crowd(number, 0);
  const side = across * 0.8 * ratio();
  if (!padStamps || padStamps.looks !== looks.list || padStamps.size !== side) padStamps = new Stamps(looks.list, side, alpha);
  const image = padGround.getImageData(0, 0, pixels, pixels);
  paintMarkers(new Uint32Array(image.data.buffer), pixels, pixels, { order, number, x, y, looks: looks.of, stamps: padStamps });
  padGround.putImageData(image, 0, 0);
}

function drawPad() {
  const side = padSide();
  if (size < 2 || !side) return;
  const context = padContext;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(padGround.canvas, 0, 0);
  context.setTransform(ratio(), 0, 0, ratio(), 0, 0);
  const [x, y] = padPlace(state.latent);
  stroke(context, themed("muted"), 1, () => {
    context.moveTo(x, 0);
    context.lineTo(x, side);
    context.moveTo(0, y);
    context.lineTo(side, y);
  });
  context.fillStyle = themed("ink");
  context.strokeStyle = themed("surface");
  context.lineWidth = 2;
  context.beginPath();
  context.arc(x, y, 7, 0, 2 * Math.PI);
  context.fill();
  context.stroke();
  for (const draw of padMarks) draw(context, side);
}

function dragPad(event) {
  const box = pad.getBoundingClientRect();
  const shares = [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height];
  const latent = [...state.latent];
  padAxes.forEach((dimension, i) => {
    const [low, high] = facts.sliders[dimension];
    latent[dimension] = low + Math.min(1, Math.max(0, shares[i])) * (high - low);
  });
  goTo(latent);
}

function buildPad() {
  if (size < 2) {
    element("pad-figure").hidden = true;
    return;
  }
  pad.onpointerdown = (event) => {
    pad.setPointerCapture(event.pointerId);
    if (!selectsOnPad("start", event)) dragPad(event);
  };
  pad.onpointermove = (event) => pad.hasPointerCapture(event.pointerId) && !selectsOnPad("move", event) && dragPad(event);
  pad.onpointerup = (event) => selectsOnPad("end", event);
  pad.onpointercancel = (event) => selectsOnPad("cancel", event);
  if (size > 2) buildPadAxes();
  showPadAxes();
  new ResizeObserver(drawPadGround).observe(pad);
  watch(["hidden", "theme", "epoch"], drawPadGround);
  watch(["latent"], drawPad);
}

function showPadAxes() {
  element("pad-caption").textContent = `z${padAxes[0] + 1} across, z${padAxes[1] + 1} up`;
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
      showPadAxes();
      drawPadGround();
    };
    element("pad-axes").append(make("label", {}, name, select));
  });
}
