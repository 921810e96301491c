const SVG = "http://www.w3.org/2000/svg";

/**
 * An element that the page has for certain.
 * @template {Element} [E=HTMLElement]
 * @param {string} id
 * @param {new () => E} [type]
 * @returns {E}
 */
export function byId(id, type) {
  return find(document, `#${id}`, type);
}

/**
 * @template {Element} [E=HTMLElement]
 * @param {ParentNode} parent
 * @param {string} selector
 * @param {new () => E} [type] Default: that of any HTML element.
 * @returns {E}
 */
export function find(parent, selector, type) {
  const found = parent.querySelector(selector);
  if (!(found instanceof (type ?? HTMLElement))) throw new Error(`the page has no ${selector}`);
  return /** @type {E} */ (found);
}

/** Characters that turn the direction of what follows them: a name that has some could look like another one. */
const TURNING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** @param {string} text as it is shown: what turns it is spelled out */
function visible(text) {
  return text.replace(TURNING, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/**
 * Writes a text where it is another one: what stays the same is not laid out again, nor read out.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  const shown = visible(text);
  if (element.textContent !== shown) element.textContent = shown;
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {string} value
 */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/**
 * @template {keyof HTMLElementTagNameMap} N
 * @param {N} name
 * @param {string} [className]
 * @param {string} [text]
 */
export function create(name, className = "", text = "") {
  const element = document.createElement(name);
  if (className !== "") element.className = className;
  if (text !== "") element.textContent = visible(text);
  return element;
}

/**
 * @template {keyof SVGElementTagNameMap} N
 * @param {N} name
 * @param {Readonly<Record<string, string>>} attributes
 */
export function createSvg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/**
 * Runs an action of a control, and not a second time before the first one has ended. The control keeps the focus, which
 * a disabled one would lose.
 * @param {Element} control what shows that it is busy
 * @param {() => Promise<unknown>} act
 */
export async function once(control, act) {
  if (control.getAttribute("aria-busy") === "true") return;
  control.setAttribute("aria-busy", "true");
  try {
    await act();
  } finally {
    control.removeAttribute("aria-busy");
  }
}
