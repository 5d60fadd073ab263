// Search: an index of the data set, or a class.

function search(text) {
  const wanted = text.trim();
  if (/^\d+$/.test(wanted)) {
    const point = facts.indices.indexOf(Number(wanted));
    if (point >= 0) {
      choose(point);
      return [`Image ${wanted}: point ${point + 1} of ${count}`];
    }
  }
  const named = (test) => present.find((label) => labeled && test(facts.classes[label].toLowerCase()));
  const lower = wanted.toLowerCase();
  const label = named((name) => name === lower) ?? named((name) => name.startsWith(lower)) ?? named((name) => name.includes(lower));
  if (!wanted) return [];
  if (label === undefined) {
    return [/^\d+$/.test(wanted) ? `No point is image ${wanted}: the page has ${count} of them` : `No class here is called “${wanted}”`];
  }
  const members = facts.labels.flatMap((other, point) => (other === label ? [point] : []));
  choose(members.find((point) => point > state.point) ?? members[0]); // Enter again: the next one
  const all = make("button", { type: "button", className: "link", textContent: "select them all" });
  all.onclick = () => select(members, facts.classes[label]);
  return [`${facts.classes[label]}: ${members.indexOf(state.point) + 1} of ${members.length}, `, all];
}

function buildSearch() {
  element("search-classes").append(...(labeled ? present.map((label) => make("option", { value: facts.classes[label] })) : []));
  element("search").placeholder = labeled ? "Class or index" : "Index";
  element("search-form").onsubmit = (event) => {
    event.preventDefault();
    element("search-result").replaceChildren(...search(element("search").value));
  };
}
