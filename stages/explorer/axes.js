// Axes, their grid, ticks and titles, drawn on the plot's canvas.

const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
const ratio = () => Math.min(2, devicePixelRatio || 1);

// Round numbers in a range, about `wanted` of them, and two at least.
function ticks([low, high], wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough * 0.999);
  const list = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) list.push(k * step);
  return list.length < 2 ? ticks([low, high], wanted * 1.5) : list;
}

const tickText = (value) => String(Number(value.toPrecision(6))).replace("-", "−");

function line(context, from, to) {
  context.beginPath();
  context.moveTo(from[0], from[1]);
  context.lineTo(to[0], to[1]);
  context.stroke();
}

// Write text about a middle, in view: `texts` keeps what is written where.
function write(context, text, x, y, { width, height }, texts) {
  const half = context.measureText(text).width / 2;
  const at = Math.min(width - half - 2, Math.max(half + 2, x));
  const to = Math.min(height - 9, Math.max(9, y));
  context.fillText(text, at, to);
  texts.push({ text, left: at - half, right: at + half, top: to - 7, bottom: to + 7 });
}

// Whether a text of this width about (x, y) would touch one that is there.
const touches = ({ left, right, top, bottom }, x, y, width) =>
  x + width / 2 + 3 > left && x - width / 2 - 3 < right && y + 8 > top && y - 8 < bottom;

function drawAxes(context, lens, canvas, texts) {
  context.font = FONT;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 1;
  (flat ? drawFlatAxes : drawBox)(context, lens, canvas, texts);
}

// The three sides of the box that lie behind the points, and labels on the edges that stand free in front.
function drawBox(context, lens, canvas, texts) {
  const { axes } = lens;
  const ends = axes.map(({ range }) => range);
  const front = [0, 1, 2].map((i) => Number(lens.directions.toward[i] > 0)); // which end is towards the eye
  const at = (choice) => project(lens, choice.map((value, i) => (value === null ? middle(ends[i]) : value)));
  const corner = (choice) => project(lens, choice.map((end, i) => ends[i][end]));
  const center = at([null, null, null]);

  const labelled = [0, 1, 2].map((i) => {
    const fixed = labelEdge(lens, i, front, corner);
    const from = corner(fixed.map((end, k) => (k === i ? 0 : end)));
    const to = corner(fixed.map((end, k) => (k === i ? 1 : end)));
    const pixels = Math.hypot(to[0] - from[0], to[1] - from[1]);
    return { i, fixed, from, to, pixels, list: ticks(ends[i], Math.min(6, Math.max(2, pixels / 46))) };
  });

  context.strokeStyle = themed("grid");
  for (const { i, list } of labelled) {
    for (const wall of [0, 1, 2].filter((k) => k !== i)) {
      const other = 3 - i - wall;
      for (const value of [...list, ...ends[i]]) {
        const choice = [0, 0, 0];
        choice[i] = value;
        choice[wall] = ends[wall][1 - front[wall]];
        line(context, ...ends[other].map((end) => project(lens, choice.map((v, k) => (k === other ? end : v)))));
      }
    }
  }

  context.fillStyle = themed("muted");
  context.strokeStyle = themed("muted");
  for (const { i, fixed, from, to, pixels, list } of labelled) {
    line(context, from, to);
    if (pixels < 24) continue;
    const out = outward(from, to, center);
    let widest = 0;
    let previous = null;
    for (const value of list) {
      const [x, y] = project(lens, fixed.map((end, k) => (k === i ? value : ends[k][end])));
      const text = tickText(value);
      const { width } = context.measureText(text);
      if (previous && Math.hypot(x - previous.x, (y - previous.y) * 2) < (width + previous.width) / 2 + 6) continue;
      const reach = 9 + (Math.abs(out[0]) * width) / 2;
      if (x > -20 && y > -20 && x < canvas.width + 20 && y < canvas.height + 20) {
        write(context, text, x + out[0] * reach, y + out[1] * (reach + 2), canvas, texts);
        previous = { x, y, width };
      }
      widest = Math.max(widest, width);
    }
    const { width } = context.measureText(axes[i].title);
    let away = 15 + (Math.abs(out[0]) * (widest + width)) / 2;
    const at = () => [(from[0] + to[0]) / 2 + out[0] * away, (from[1] + to[1]) / 2 + out[1] * away];
    while (away < 90 && texts.some((text) => touches(text, ...at(), width))) away += 2;
    const [x, y] = at();
    context.fillStyle = themed("ink");
    if (x > -40 && y > -40 && x < canvas.width + 40 && y < canvas.height + 40) write(context, axes[i].title, x, y, canvas, texts);
    context.fillStyle = themed("muted");
  }
}

// Which ends of the other two axes the labelled edge of axis i lies at: free of the points from where one looks.
function labelEdge(lens, i, front, corner) {
  const low = lens.directions.toward[2] >= 0 ? 0 : 1;
  if (i < 2) return [0, 1, 2].map((k) => (k === 2 ? low : front[k]));
  const sides = [[front[0], 1 - front[1], 0], [1 - front[0], front[1], 0]];
  return corner(sides[0])[0] < corner(sides[1])[0] ? sides[0] : sides[1];
}

// The direction across an edge that leads away from the box's middle.
function outward(from, to, center) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const size = Math.hypot(dx, dy) || 1;
  const normal = [-dy / size, dx / size];
  const away = ((from[0] + to[0]) / 2 - center[0]) * normal[0] + ((from[1] + to[1]) / 2 - center[1]) * normal[1];
  return away < 0 ? [-normal[0], -normal[1]] : normal;
}

const LANE_TEXT = 110; // pixels for a class's name, at most

// Room for the labels of a flat plot, in pixels.
function flatFrame(context, { width }) {
  context.font = FONT;
  const widest = Math.max(0, ...facts.classes.map((name) => context.measureText(name).width));
  return { left: lanes ? 14 + Math.min(widest, LANE_TEXT, width / 3) : 54, right: 18, top: 10, bottom: 44 };
}

function shorten(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let end = text.length - 1;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > room) end--;
  return `${text.slice(0, end)}…`;
}

function drawFlatAxes(context, lens, canvas, texts) {
  const { frame, width, height } = canvas;
  const [left, right, bottom, top] = lens.view;
  const [low, high] = [height - frame.bottom, frame.top];
  const muted = themed("muted");
  context.strokeStyle = themed("grid");
  context.fillStyle = muted;
  for (const value of ticks([left, right], (width - frame.left - frame.right) / 80)) {
    const [x] = project(lens, [value, 0]);
    line(context, [x, low], [x, high]);
    write(context, tickText(value), x, low + 13, canvas, texts);
  }
  const rows = lanes
    ? facts.classes.map((name, label) => [label, shorten(context, name, frame.left - 10)])
    : ticks([bottom, top], (low - high) / 60).map((value) => [value, tickText(value)]);
  context.textAlign = "right";
  let previous = Infinity;
  for (const [value, text] of rows) {
    const [, y] = project(lens, [left, value]);
    if (y < high - 1 || y > low + 1) continue;
    line(context, [frame.left, y], [width - frame.right, y]);
    if (previous - y < 14) continue;
    context.fillText(text, frame.left - 6, y);
    texts.push({ text, left: frame.left - 6 - context.measureText(text).width, right: frame.left - 6, top: y - 7, bottom: y + 7 });
    previous = y;
  }
  context.textAlign = "center";
  context.strokeStyle = muted;
  line(context, [frame.left, low], [width - frame.right, low]);
  line(context, [frame.left, low], [frame.left, high]);
  context.fillStyle = themed("ink");
  write(context, lens.axes[0].title, (frame.left + width - frame.right) / 2, low + 32, canvas, texts);
  if (lanes) return;
  context.save();
  context.translate(12, (low + high) / 2);
  context.rotate(-Math.PI / 2);
  context.fillText(lens.axes[1].title, 0, 0);
  context.restore();
  texts.push({ text: lens.axes[1].title, left: 5, right: 19, top: (low + high) / 2 - 10, bottom: (low + high) / 2 + 10 });
}
