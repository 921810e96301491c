import { ApiError, call } from "./api.js";
import { byId, create, createSvg, setText } from "./document.js";
import { percent } from "./format.js";
import { HUES, hueOf } from "./hues.js";
import { badge, showStates } from "./states.js";

/** @typedef {import("./shapes.js").RingView} RingView */
/** @typedef {import("./shapes.js").Explanation} Explanation */

const OUTER = 92;
const INNER = 66;
const SECTORS = 360;
const HASHES = 2 ** 32;
/** As many letters of a name as there is room for in the middle. */
const NAME_LENGTH_MAX = 17;
/** Fallbacks that are shown before a URL is asked to be followed further. */
const ORDER_MAX = 8;

/** What keeps one key from a node that serves others. */
const REASONS = /** @type {Readonly<Record<string, string>>} */ ({
  "no-weight": "No weight",
  full: "Full",
  "over-load": "Over load",
  "slow-start": "Slow start",
  "load-wait": "Key waits",
});

/** The ring of a cluster, and where a URL lands on it. */
export class Ring {
  #svg = byId("ring", SVGSVGElement);
  #text = byId("ring-text");
  #legend = byId("legend");
  #found = byId("found");
  #form = byId("find");
  #url = byId("url", HTMLInputElement);
  /** @type {Map<string, SVGPathElement>} by id of the node */
  #arcs = new Map();
  #mark = createSvg("path", { class: "mark", d: `M-5 ${-OUTER - 7}h10l-5 8z` });
  #centre = createSvg("text", { y: "-2" });
  #centreNote = createSvg("text", { y: "14", class: "small" });
  /** @type {Explanation | undefined} */
  #explanation;
  #method = byId("method", HTMLInputElement);
  #headers = byId("headers", HTMLTextAreaElement);
  /** The query that it answers; empty: none was asked. */
  #explained = "";
  /** Answers to questions that others have followed are not shown. */
  #asked = 0;
  #drawn = 0;
  #onFound;

  /** @param {(explanation: Explanation, isAgain: boolean) => void} onFound told whether nobody asked just now */
  constructor(onFound) {
    this.#onFound = onFound;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#ask(this.#query());
    });
  }

  /**
   * Asks how the ring of a cluster looks now; false where that is to be asked again.
   * @param {string} cluster
   * @param {readonly string[]} ids in the order of the rows, whose hues the arcs have
   * @returns {Promise<boolean>}
   */
  async load(cluster, ids) {
    const drawn = ++this.#drawn;
    try {
      /** @type {RingView} */
      const view = await call(`v1/clusters/${encodeURIComponent(cluster)}/ring?sectors=${SECTORS}`);
      if (drawn === this.#drawn) this.#draw(view, ids);
      return true;
    } catch (error) {
      if (drawn !== this.#drawn) return true;
      const isWithout = error instanceof ApiError && error.status === 404;
      this.clear(isWithout ? "The policy of this cluster has no ring." : "The ring could not be had; asking again.");
      return isWithout;
    }
  }

  /**
   * Shows no ring.
   * @param {string} why
   */
  clear(why) {
    this.#drawn++;
    this.#arcs = new Map();
    this.#svg.toggleAttribute("hidden", true);
    this.#legend.hidden = true;
    setText(this.#text, why);
  }

  /** Asks again for the request that is shown: nodes have changed. */
  refresh() {
    if (this.#explained !== "") void this.#ask(this.#explained);
  }

  /**
   * @param {RingView} view
   * @param {readonly string[]} ids
   */
  #draw({ nodes, sectors }, ids) {
    /** @type {string[]} */
    const shapes = nodes.map(() => "");
    for (let from = 0; from < sectors.length; ) {
      let to = from + 1;
      while (to < sectors.length && sectors[to] === sectors[from]) to++;
      if (sectors[from] >= 0) shapes[sectors[from]] += arc(from / sectors.length, to / sectors.length);
      from = to;
    }
    this.#arcs = new Map(
      nodes.map(({ id, share }, index) => {
        const path = createSvg("path", { d: shapes[index] });
        path.style.setProperty("--hue", hueOf(ids.indexOf(id), ids.length));
        const title = createSvg("title", {});
        title.textContent = `${id}: ${percent(share)} of all keys`;
        path.append(title);
        return [id, path];
      }),
    );
    this.#svg.replaceChildren(...this.#arcs.values(), this.#centre, this.#centreNote, this.#mark);
    this.#svg.toggleAttribute("hidden", nodes.length === 0);
    // More nodes are not named one by one.
    const isFew = ids.length <= HUES;
    this.#svg.classList.toggle("many", !isFew);
    const shares = nodes.map(({ share }) => share);
    const range = `${percent(Math.min(...shares))} to ${percent(Math.max(...shares))}`;
    setText(
      this.#text,
      nodes.length === 0
        ? "The ring is empty."
        : isFew
          ? "Keys by node, while all serve"
          : `Each node has ${range} of all keys.`,
    );
    this.#legend.hidden = !isFew;
    this.#legend.replaceChildren(
      ...(isFew ? nodes.map((node) => legendItem(node, hueOf(ids.indexOf(node.id), ids.length))) : []),
    );
    this.#point();
  }

  /** The request that the fields describe. */
  #query() {
    const query = new URLSearchParams({ url: this.#url.value.trim() });
    const method = this.#method.value.trim();
    if (method !== "") query.set("method", method);
    for (const line of this.#headers.value.split("\n")) if (line.trim() !== "") query.append("header", line);
    return `${query}`;
  }

  /** @param {string} query */
  async #ask(query) {
    const asked = ++this.#asked;
    const isAgain = query === this.#explained;
    try {
      /** @type {Explanation} */
      const explanation = await call(`v1/explain?${query}`);
      if (asked !== this.#asked) return;
      // What is the same is not read out again.
      const isSame = isAgain && JSON.stringify(explanation) === JSON.stringify(this.#explanation);
      this.#explained = query;
      this.#explanation = explanation;
      if (!isSame) {
        this.#show(explanation);
        this.#onFound(explanation, isAgain);
      }
    } catch (error) {
      if (asked !== this.#asked) return;
      // Asked by nobody: what is shown stays until there is something better.
      if (isAgain && error instanceof ApiError && error.status === 0) return;
      this.#explanation = undefined;
      this.#explained = "";
      this.#found.replaceChildren(create("p", "bad", error instanceof ApiError ? error.message : `${error}`));
    }
    this.#point();
  }

  /** @param {Explanation} explanation */
  #show({ problem, redirect, route, cluster, policy, key, sticky, isFixed, node, order, notes }) {
    const facts = create("dl");
    const fact = (/** @type {string} */ name, /** @type {string | undefined} */ value) => {
      if (value !== undefined && value !== "") facts.append(create("dt", "", name), create("dd", "", value));
    };
    fact("Route", route);
    fact("Cluster", cluster === undefined ? undefined : `${cluster}, ${policy}`);
    fact("Key", key);
    fact("Sticky", sticky === undefined ? undefined : `by ${sticky.by} ${sticky.node ?? "that names no node"}`);
    fact("Redirect", redirect === undefined ? undefined : `${redirect.status} to ${redirect.location}`);
    fact("Answer", problem === undefined ? undefined : `${problem.code}: ${problem.detail}`);
    /** @type {Element[]} */
    const parts = [facts];
    if (!isFixed && order.length > 0) {
      parts.push(create("p", "quiet", "Nodes take turns or lots: each request may come to another one of these."));
    }
    for (const note of notes) parts.push(create("p", "quiet", `${note[0].toUpperCase()}${note.slice(1)}.`));
    const list = create("ol", "order");
    order.slice(0, ORDER_MAX).forEach(({ id, states, isEligible, reasons, attempt }) => {
      const lands = isFixed && id === node;
      const item = create("li", lands ? "lands" : "");
      const place = !isEligible ? "skips" : lands ? "lands on" : attempt !== undefined ? "falls to" : "may";
      const words = create("span");
      // A node may serve others and not this key.
      const own = reasons.filter((reason) => REASONS[reason] !== undefined);
      if (states.includes("serving") && own.length > 0) {
        words.append(badge("suspect", "warn", own.map((reason) => REASONS[reason]).join(", ")));
      } else showStates(words, states);
      const what = create("span");
      what.append(create("span", "id", id), words);
      item.append(create("span", "place", place), what);
      list.append(item);
    });
    parts.push(list);
    if (order.length > ORDER_MAX) parts.push(create("p", "quiet", `and ${order.length - ORDER_MAX} more`));
    this.#found.replaceChildren(...parts);
  }

  /** Shows the place of the key, and whose it is. */
  #point() {
    const { keyHash, node } = this.#explanation ?? {};
    const arcOfNode = node === undefined ? undefined : this.#arcs.get(node);
    for (const path of this.#arcs.values())
      path.classList.toggle("faded", arcOfNode !== undefined && path !== arcOfNode);
    const isShown = keyHash !== undefined && arcOfNode !== undefined;
    this.#mark.toggleAttribute("hidden", !isShown);
    if (isShown) this.#mark.setAttribute("transform", `rotate(${((360 * keyHash) / HASHES).toFixed(2)})`);
    setText(this.#centre, isShown ? shortened(node ?? "") : `${this.#arcs.size}`);
    setText(this.#centreNote, isShown ? "lands here" : this.#arcs.size === 1 ? "node" : "nodes");
  }
}

/**
 * @param {RingView["nodes"][number]} node
 * @param {string} hue
 */
function legendItem({ id, share }, hue) {
  const item = create("li");
  const swatch = create("span", "swatch");
  swatch.style.setProperty("--hue", hue);
  item.append(swatch, create("span", "id", id), create("span", "", percent(share)));
  return item;
}

/** @param {string} id */
function shortened(id) {
  return id.length <= NAME_LENGTH_MAX ? id : `…${id.slice(1 - NAME_LENGTH_MAX)}`;
}

/**
 * A piece of the ring; it begins at the top and goes clockwise.
 * @param {number} from share of the circle
 * @param {number} to
 */
function arc(from, to) {
  // A whole circle has no beginning and no end, and so would not be drawn: they stay apart when rounded, inside as well.
  const end = Math.min(to, from + 0.9999);
  const large = end - from > 0.5 ? 1 : 0;
  const at = (/** @type {number} */ share, /** @type {number} */ radius) => {
    const angle = 2 * Math.PI * share;
    return `${(radius * Math.sin(angle)).toFixed(2)} ${(-radius * Math.cos(angle)).toFixed(2)}`;
  };
  const outer = `M${at(from, OUTER)}A${OUTER} ${OUTER} 0 ${large} 1 ${at(end, OUTER)}`;
  return `${outer}L${at(end, INNER)}A${INNER} ${INNER} 0 ${large} 0 ${at(from, INNER)}Z`;
}
