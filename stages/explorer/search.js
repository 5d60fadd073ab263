// Search: a class, an index of the data set, the file of a picture or a part of its name.

import { swatch } from "./classes.js";
import { data } from "./data.js";
import { element, make } from "./dom.js";
import { facts, labeled, present } from "./facts.js";
import { nameOf } from "./names.js";
import { choose } from "./point.js";
import { select } from "./select.js";
import { state } from "./state.js";

const MAX_LISTED = 8; // files

const link = (text, act, ...before) => {
  const button = make("button", { type: "button", className: "link" }, ...before, text);
  button.onclick = act;
  return button;
};

// Best match of a name: whole, beginning, part, or none.
function matches(names, wanted) {
  const tests = [(name) => name === wanted, (name) => name.startsWith(wanted), (name) => name.includes(wanted)];
  const found = tests.map((test) => names.flatMap((name, i) => (test(name.toLowerCase()) ? [i] : [])));
  return found.find((list) => list.length) ?? [];
}

// All that the text may mean: [{text, act, before}], the act of each showing it, again for the next of a class.
function meanings(wanted) {
  const classes = matches(labeled ? present.map((label) => facts.classes[label]) : [], wanted).map((i) => present[i]);
  const index = /^\d+$/.test(wanted) ? facts.indices.indexOf(Number(wanted)) : -1;
  const named = matches(data.files, wanted);
  return [
    ...classes.map((label) => {
      const members = facts.labels.flatMap((other, point) => (other === label ? [point] : []));
      return {
        text: `class ${facts.classes[label]}, ${members.length}`,
        before: [swatch(label)],
        members,
        act: () => choose(members.find((point) => point > state.point) ?? members[0]),
      };
    }),
    ...(index < 0 ? [] : [{ text: nameOf(index), act: () => choose(index) }]),
    ...named.filter((point) => point !== index).map((point) => ({ text: nameOf(point), act: () => choose(point) })),
  ];
}

function search(text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  const found = meanings(wanted);
  if (!found.length) {
    const kinds = [...(labeled ? ["class"] : []), "index", ...(data.files.length ? ["file"] : [])];
    return [`Nothing here matches “${text.trim()}”: no ${kinds.join(", no ")} of the ${facts.indices.length} points`];
  }
  if (found.length === 1) found[0].act();
  const listed = found.slice(0, MAX_LISTED);
  return [
    ...listed.flatMap(({ text: name, act, before = [], members }) => [
      make("span", { className: "found" }, link(name, act, ...before)),
      ...(members ? [link("select all", () => select(members, name))] : []),
    ]),
    ...(found.length > listed.length ? [`and ${found.length - listed.length} more`] : []),
  ];
}

export function buildSearch() {
  const options = labeled ? present.map((label) => facts.classes[label]) : [];
  element("search-classes").append(...options.map((value) => make("option", { value })));
  const kinds = [...(labeled ? ["class"] : []), ...(data.files.length ? ["file"] : []), "index"].join(", ");
  element("search").placeholder = `Find: ${kinds}`;
  element("search-form").onsubmit = (event) => {
    event.preventDefault();
    element("search-result").replaceChildren(...search(element("search").value));
  };
}
