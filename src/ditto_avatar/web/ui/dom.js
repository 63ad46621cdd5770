const SVG = "http://www.w3.org/2000/svg";

/** An element with properties, and children that are elements or texts. */
export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

export function setLabel(button, label) {
  button.setAttribute("aria-label", label);
  button.title = label;
}

/** A button that is on or off: its name stays, so that the two are not told twice, or against one
 * another. */
export function setToggle(button, label, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
  setLabel(button, label);
}

/** Writes only what differs, so that live regions speak only when there is news. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const byId = (id) => document.getElementById(id);
