// Elements from plain values. Text becomes text nodes, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (name === "data") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

export const draw = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

// A name that leads to its public entry, where it has one.
export const named = (text, link) => (link ? make("a", { href: link, rel: "noopener noreferrer", target: "_blank" }, text) : text);

export const count = (number, one, many = `${one}s`) =>
  `${number.toLocaleString("en").replaceAll(",", "\u202f")} ${number === 1 ? one : many}`;

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// Two digits; what would read 0.00 or 1.00 without being so is said to be beyond.
export function sureness(value) {
  if (value > 0 && value < 0.005) return "< 0.01";
  if (value < 1 && value >= 0.995) return "> 0.99";
  return value.toFixed(2);
}
