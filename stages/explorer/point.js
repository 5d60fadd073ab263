// The chosen point: its image, its reconstruction and its neighbors; and the card at the point under the mouse.

// The points nearest to a latent in the space as the epoch had it, by Euclidean distance: [{point, distance}], of all
// points but one.
function nearestTo(latent, epoch, number = facts.neighbors, but = -1) {
  const { latents } = data.snapshots[epoch];
  const found = [];
  for (let point = 0, at = 0; point < count; point++, at += size) {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += (latents[at + i] - latent[i]) ** 2;
    if (point === but || (found.length === number && sum >= found[number - 1].sum)) continue;
    let rank = found.length;
    while (rank > 0 && found[rank - 1].sum > sum) rank--;
    found.splice(rank, 0, { point, sum });
    if (found.length > number) found.pop();
  }
  return found.map(({ point, sum }) => ({ point, distance: Math.sqrt(sum) }));
}

const neighborsOf = (point, epoch) => nearestTo(latentOf(point, epoch), epoch, facts.neighbors, point);

// What a point is called where it isn't seen: its class, where it has one, and its index.
const nameOf = (point) => [className(point), `image ${facts.indices[point]}`].filter(Boolean).join(", ");

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
  const mark = labeled ? [swatch(facts.labels[point])] : [];
  const button = make("button", { type: "button", className: "thumbnail", title: name }, ...pictures, make("span", {}, ...mark, caption));
  button.setAttribute("aria-label", name);
  button.dataset.point = point;
  button.onclick = () => choose(point);
  return button;
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

function neighborButtons(nearest) {
  return nearest.map(({ point, distance }) =>
    thumbnail(point, distance.toPrecision(2), { name: `${nameOf(point)}, at a distance of ${distance.toPrecision(3)}` }),
  );
}

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
  watch(["point", "epoch"], () => {
    showPoint();
    showNeighbors();
  });
  buildHover();
}

const mouse = { x: 0, y: 0, type: "mouse" };
let hovered = null; // the point whose card is shown

function buildHover() {
  for (const kind of ["pointermove", "pointerdown"]) {
    plot.addEventListener(kind, ({ clientX, clientY, pointerType }) => Object.assign(mouse, { x: clientX, y: clientY, type: pointerType }), true);
  }
  plot.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && hideHover());
  addEventListener("scroll", hideHover, { passive: true });
  watch(["epoch", "hidden", "view"], hideHover);
}

function showHover(point) {
  const card = element("hover");
  hovered = point;
  drawImage(element("hover-image"), point);
  drawReconstruction(element("hover-reconstruction"), point, state.epoch);
  element("hover-class").replaceChildren(...(labeled ? [swatch(facts.labels[point]), className(point)] : []));
  element("hover-facts").textContent = `index ${facts.indices[point]} · error ${errorOf(point, state.epoch)}`;
  card.hidden = false;
  const { width, height } = card.getBoundingClientRect();
  const right = mouse.x + 18 + width < innerWidth ? mouse.x + 18 : mouse.x - 18 - width;
  card.style.left = `${Math.max(8, right)}px`;
  card.style.top = `${Math.min(Math.max(8, mouse.y - height / 2), innerHeight - height - 8)}px`;
}

function hideHover() {
  element("hover").hidden = true;
  hovered = null;
}
