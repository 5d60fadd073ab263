// The chosen point: its image, its reconstruction and its neighbors; and the card at the point under the mouse.

// The points nearest to a latent in the space as the epoch had it, by Euclidean distance, nearest first, among those that
// are wanted: [{point, distance}].
function nearestTo(latent, epoch, wanted) {
  const { latents } = data.snapshots[epoch];
  const list = [];
  for (let point = 0, at = 0; point < count; point++, at += size) {
    if (!wanted(point)) continue;
    let sum = 0;
    for (let i = 0; i < size; i++) sum += (latents[at + i] - latent[i]) ** 2;
    if (list.length === facts.neighbors && sum >= list.at(-1).sum) continue;
    const place = list.findIndex((each) => sum < each.sum);
    list.splice(place < 0 ? list.length : place, 0, { point, sum, distance: Math.sqrt(sum) });
    list.length = Math.min(list.length, facts.neighbors);
  }
  return list;
}

const remembered = { key: "", list: [] };

// The neighbors of a point among those of classes not hidden.
function neighborsOf(point, epoch) {
  const key = [point, epoch, ...state.hidden].join();
  if (remembered.key !== key) {
    const wanted = (other) => other !== point && !state.hidden.has(facts.labels[other]);
    Object.assign(remembered, { key, list: nearestTo(latentOf(point, epoch), epoch, wanted) });
  }
  return remembered.list;
}

// What a point is called where it isn't seen: its class, where it has one, and its index.
const nameOf = (point) => [className(point), `image ${facts.indices[point]}`].filter(Boolean).join(", ");

// The mark of a point's class, where it has one.
const marksOf = (point) => (labeled ? [swatch(facts.labels[point])] : []);

function choose(point) {
  set({ point: ((point % count) + count) % count });
  const { point: chosen, epoch } = state;
  element("live").textContent =
    `Point ${chosen + 1} of ${count}: ${nameOf(chosen)}, error ${errorOf(chosen, epoch)}`;
}

// A button that chooses the point, with its image, its reconstruction too if asked for, and a caption.
function thumbnail(point, caption, { pair = false, name = nameOf(point) } = {}) {
  const image = make("canvas", { className: "picture" });
  drawImage(image, point);
  const pictures = [image];
  if (pair) {
    pictures.push(make("canvas", { className: "picture" }));
    drawReconstruction(pictures[1], point, state.epoch);
  }
  const button = make("button", { type: "button", className: "thumbnail", title: name }, ...pictures);
  button.append(make("span", {}, ...marksOf(point), caption));
  button.setAttribute("aria-label", name);
  button.dataset.point = point;
  button.onclick = () => {
    stopPlaying();
    choose(point);
  };
  return button;
}

// With its reconstruction and its error.
function pairOf(point, epoch) {
  const error = data.snapshots[epoch].errors[point].toPrecision(2);
  return thumbnail(point, error, { pair: true, name: `${nameOf(point)}, error ${error}` });
}

function describe(target, entries) {
  const row = ([name, ...value]) => make("div", {}, make("dt", { textContent: name }), make("dd", {}, ...value));
  target.replaceChildren(...entries.map(row));
}

function showPoint() {
  const { point, epoch } = state;
  drawImage(element("point-image"), point);
  drawReconstruction(element("point-reconstruction"), point, epoch);
  element("point-image").setAttribute("aria-label", nameOf(point));
  element("point-reconstruction").setAttribute("aria-label", `Its reconstruction after epoch ${facts.epochs[epoch]}`);
  element("point-number").value = point + 1;
  describe(element("point-facts"), [
    ...(labeled ? [["Class", swatch(facts.labels[point]), className(point)]] : []),
    ["Index", `${facts.indices[point]} of ${facts.split}`],
    ["Error", errorOf(point, epoch)],
  ]);
}

const neighborButtons = (nearest) =>
  nearest.map(({ point, distance }) => {
    const far = distance.toPrecision(2);
    return thumbnail(point, far, { name: `${nameOf(point)}, at a distance of ${far}` });
  });

function showNeighbors() {
  const nearest = neighborsOf(state.point, state.epoch);
  element("neighbors-title").textContent = nearest.length ? "Nearest in the latent space" : "It has no neighbors";
  element("neighbors").replaceChildren(...neighborButtons(nearest));
}

function buildPoint() {
  const number = element("point-number");
  number.max = count;
  element("point-count").textContent = `of ${count}`;
  number.setAttribute("aria-label", `Point, 1 to ${count}`);
  number.onchange = () => {
    const wanted = Math.round(Number(number.value));
    choose(Math.min(count, Math.max(1, wanted || 1)) - 1);
  };
  element("previous-point").onclick = () => choose(state.point - 1);
  element("next-point").onclick = () => choose(state.point + 1);
  element("skip").onclick = (event) => {
    event.preventDefault();
    number.focus();
  };
  watch(["point", "epoch"], showPoint);
  watch(["point", "epoch", "hidden"], showNeighbors);
  buildHover();
}

const mouse = { x: 0, y: 0 };

function buildHover() {
  addEventListener("scroll", hideHover, { passive: true });
  watch(["epoch", "hidden", "view"], hideHover);
}

function showHover(point) {
  drawImage(element("hover-image"), point);
  drawReconstruction(element("hover-reconstruction"), point, state.epoch);
  showCard(point, [...marksOf(point), className(point)], `index ${facts.indices[point]} · error ${errorOf(point, state.epoch)}`);
}

// The card at the mouse; without a point, a place that has no image.
function showCard(point, name, text) {
  const card = element("hover");
  element("hover-image").parentNode.hidden = point === null;
  element("hover-class").replaceChildren(...name);
  element("hover-facts").textContent = text;
  card.hidden = false;
  const { width, height } = card.getBoundingClientRect();
  const right = mouse.x + 18 + width < innerWidth ? mouse.x + 18 : mouse.x - 18 - width;
  card.style.left = `${Math.max(8, right)}px`;
  card.style.top = `${Math.min(Math.max(8, mouse.y - height / 2), innerHeight - height - 8)}px`;
}

function hideHover() {
  element("hover").hidden = true;
}
