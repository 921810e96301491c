import { byId, create, createSvg } from "./document.js";
import { dayOf, timeOfDay } from "./format.js";

/** How each state looks: a shape of its own and a word, so that colour only helps. */
const LOOKS = /** @type {Readonly<Record<string, { tone: string, word: string }>>} */ ({
  serving: { tone: "good", word: "Serving" },
  dead: { tone: "bad", word: "Dead" },
  suspect: { tone: "warn", word: "Suspect" },
  failing: { tone: "bad", word: "Failing checks" },
  unchecked: { tone: "off", word: "Not checked yet" },
  ejected: { tone: "warn", word: "Ejected" },
  "breaker-open": { tone: "bad", word: "Breaker open" },
  "breaker-half-open": { tone: "warn", word: "Breaker half-open" },
  draining: { tone: "warn", word: "Draining" },
  disabled: { tone: "off", word: "Disabled" },
  "no-weight": { tone: "off", word: "No weight" },
});

/** Worst first: the order in which somebody who looks for what is wrong wants them. */
export const TROUBLES = Object.keys(LOOKS)
  .filter((state) => state !== "serving")
  .sort((one, other) => rankOf(one) - rankOf(other));

/** @param {string} state */
function rankOf(state) {
  return ["bad", "warn", "off", "good"].indexOf(lookOf(state).tone);
}

/** @param {string} state */
export function lookOf(state) {
  return LOOKS[state] ?? { tone: "off", word: state };
}

/**
 * That of the worst state.
 * @param {readonly string[]} states
 */
export function toneOf(states) {
  return ["bad", "warn", "off"].find((tone) => states.some((state) => lookOf(state).tone === tone)) ?? "good";
}

/** @param {readonly string[]} states */
export function wordsOf(states) {
  return states.map((state) => lookOf(state).word).join(", ");
}

/**
 * @param {string} shape one of the symbols of the page
 * @param {string} tone
 * @param {string} word
 */
export function badge(shape, tone, word) {
  const element = create("span", `state ${tone}`);
  const picture = createSvg("svg", { "aria-hidden": "true" });
  picture.append(createSvg("use", { href: `#shape-${shape}` }));
  element.append(picture, word);
  return element;
}

/**
 * Shows the states of a node; what is shown already is left alone.
 * @param {HTMLElement} parent
 * @param {readonly string[]} states
 */
export function showStates(parent, states) {
  const wanted = states.join(" ");
  if (parent.dataset.states === wanted) return;
  parent.dataset.states = wanted;
  parent.replaceChildren(
    ...states.map((state) => {
      const { tone, word } = lookOf(state);
      return badge(state, tone, word);
    }),
  );
}

const CHANGES_MAX = 50;
/** More at once are counted and not named: nobody can listen to two hundred sentences. */
const NAMED_MAX = 5;

/** Says what became of nodes, for eyes and ears, and keeps the last changes. */
export class Changes {
  #list = byId("changes");
  #none = byId("no-changes");
  /** @type {Map<string, string>} words by node */
  #known = new Map();
  #isFirst = true;
  /** Of the newest change that is shown. */
  #day = "";

  /** @param {import("./shapes.js").StatusShape} status */
  update({ nodes, clusters, atMs }) {
    const day = dayOf(atMs);
    // Yesterday's nine o'clock would be read as this morning's.
    if (this.#day !== day && this.#list.childElementCount > 0) this.#list.prepend(create("li", "day", this.#day));
    this.#day = day;
    /** @type {Map<string, string>} */
    const now = new Map();
    /** @type {{ readonly id: string, readonly text: string }[]} */
    const changes = [];
    for (const { cluster, id, states } of nodes) {
      const key = `${cluster} ${id}`;
      const words = wordsOf(states);
      const before = this.#known.get(key);
      // The same node may be in several clusters.
      const place = clusters.length > 1 ? `in ${cluster}, ` : "";
      if (before === undefined) changes.push({ id, text: `${place}joined: ${words}` });
      else if (before !== words) changes.push({ id, text: `${place}${before} → ${words}` });
      now.set(key, words);
    }
    for (const key of this.#known.keys()) {
      if (now.has(key)) continue;
      const [cluster, id] = [key.slice(0, key.indexOf(" ")), key.slice(key.indexOf(" ") + 1)];
      changes.push({ id, text: clusters.length > 1 ? `left ${cluster}` : "left" });
    }
    this.#known = now;
    if (!this.#isFirst && changes.length > 0) this.#tell(changes, atMs);
    this.#isFirst = false;
  }

  /**
   * @param {readonly { readonly id: string, readonly text: string }[]} changes
   * @param {number} atMs
   */
  #tell(changes, atMs) {
    const time = timeOfDay(atMs);
    this.#none.hidden = true;
    const items = changes.slice(0, NAMED_MAX).map(({ id, text }) => changeItem(time, id, text));
    const more = changes.length - items.length;
    if (more > 0) items.push(changeItem(time, "", `and ${more} more nodes`));
    this.#list.prepend(...items);
    while (this.#list.childElementCount > CHANGES_MAX) this.#list.lastElementChild?.remove();
  }
}

/**
 * @param {string} time
 * @param {string} id
 * @param {string} text
 */
function changeItem(time, id, text) {
  const item = create("li");
  item.append(create("time", "", time), " ", create("span", "id", id), create("p", "", text));
  return item;
}
