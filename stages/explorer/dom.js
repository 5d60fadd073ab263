// Elements of the page.

export const element = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children); // strings become text nodes, so no text is ever read as HTML
  return node;
}

export function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function describe(target, entries) {
  const row = ([name, ...value]) => make("div", {}, make("dt", { textContent: name }), make("dd", {}, ...value));
  target.replaceChildren(...entries.map(row));
}
