// The chosen point: its image, its reconstruction and its neighbours; and the card at the point under the mouse.

const remembered = { key: "", list: [] };

// The nearest points in the latent space as the epoch had it, by Euclidean distance, among those of classes not hidden.
function neighborsOf(point, epoch) {
  const key = [point, epoch, ...state.hidden].join();
  if (remembered.key === key) return remembered.list;
  const { latents } = data.snapshots[epoch];
  const list = []; // sorted
  for (let other = 0; other < count; other++) {
    if (other === point || state.hidden.has(facts.labels[other])) continue;
    let sum = 0;
    for (let i = 0; i < size; i++) sum += (latents[other * size + i] - latents[point * size + i]) ** 2;
    if (list.length === facts.neighbors && sum >= list.at(-1).sum) continue;
    const place = list.findIndex((each) => sum < each.sum);
    list.splice(place < 0 ? list.length : place, 0, { point: other, sum, distance: Math.sqrt(sum) });
    list.length = Math.min(list.length, facts.neighbors);
  }
  Object.assign(remembered, { key, list });
  return list;
}

function choose(point) {
  set({ point: ((point % count) + count) % count });
  const { point: chosen, epoch } = state;
  element("live").textContent =
    `Point ${chosen + 1} of ${count}: ${className(chosen)}, image ${facts.indices[chosen]}, error ${errorOf(chosen, epoch)}`;
}

function thumbnail(point, caption) {
  const canvas = make("canvas", { className: "picture" });
  drawImage(canvas, point);
  return make("button", { type: "button", className: "thumbnail" }, canvas, make("span", {}, swatch(facts.labels[point]), caption));
}

function describe(target, entries) {
  const row = ([name, ...value]) => make("div", {}, make("dt", { textContent: name }), make("dd", {}, ...value));
  target.replaceChildren(...entries.map(row));
}

function showPoint() {
  const { point, epoch } = state;
  drawImage(element("point-image"), point);
  drawReconstruction(element("point-reconstruction"), point, epoch);
  element("point-image").setAttribute("aria-label", `${className(point)}, image ${facts.indices[point]}`);
  element("point-reconstruction").setAttribute("aria-label", `Its reconstruction after epoch ${facts.epochs[epoch]}`);
  element("point-number").value = point + 1;
  describe(element("point-facts"), [
    ...(labeled ? [["Class", swatch(facts.labels[point]), className(point)]] : []),
    ["Index", `${facts.indices[point]} of ${facts.split}`],
    ["Error", errorOf(point, epoch)],
  ]);
}

function showNeighbors() {
  const nearest = neighborsOf(state.point, state.epoch);
  element("neighbors-title").textContent = nearest.length ? "Nearest in the latent space" : "It has no neighbours";
  const buttons = nearest.map(({ point, distance }) => {
    const button = thumbnail(point, distance.toPrecision(2));
    const name = `${className(point)}, image ${facts.indices[point]}, at a distance of ${distance.toPrecision(3)}`;
    button.setAttribute("aria-label", name);
    button.title = name;
    button.dataset.point = point;
    button.onclick = () => {
      stopPlaying();
      choose(point);
    };
    return button;
  });
  element("neighbors").replaceChildren(...buttons);
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
  const card = element("hover");
  drawImage(element("hover-image"), point);
  drawReconstruction(element("hover-reconstruction"), point, state.epoch);
  element("hover-class").replaceChildren(swatch(facts.labels[point]), className(point));
  element("hover-facts").textContent = `index ${facts.indices[point]} · error ${errorOf(point, state.epoch)}`;
  card.hidden = false;
  const { width, height } = card.getBoundingClientRect();
  const right = mouse.x + 18 + width < innerWidth ? mouse.x + 18 : mouse.x - 18 - width;
  card.style.left = `${Math.max(8, right)}px`;
  card.style.top = `${Math.min(Math.max(8, mouse.y - height / 2), innerHeight - height - 8)}px`;
}

function hideHover() {
  element("hover").hidden = true;
}
