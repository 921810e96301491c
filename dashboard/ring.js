import { ApiError, call } from "./api.js";
import { byId, create, createSvg, setText } from "./document.js";
import { percent } from "./format.js";
import { hueOf } from "./hues.js";
import { showStates } from "./states.js";

/** @typedef {import("./shapes.js").RingView} RingView */
/** @typedef {import("./shapes.js").Explanation} Explanation */

const OUTER = 92;
const INNER = 66;
const SECTORS = 360;
const HASHES = 2 ** 32;
/** More nodes are not named one by one. */
const NAMED_MAX = 8;
/** As many letters of a name as there is room for in the middle. */
const NAME_LENGTH_MAX = 17;
/** Fallbacks that are shown before a URL is asked to be followed further. */
const ORDER_MAX = 8;

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
  /** Answers to questions that others have followed are not shown. */
  #asked = 0;
  #drawn = 0;
  #onFound;

  /** @param {(explanation: Explanation) => void} onFound */
  constructor(onFound) {
    this.#onFound = onFound;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask();
    });
  }

  /**
   * Asks how the ring of a cluster looks now.
   * @param {string} cluster
   * @param {readonly string[]} ids in the order of the rows, whose hues the arcs have
   */
  async load(cluster, ids) {
    const drawn = ++this.#drawn;
    try {
      /** @type {RingView} */
      const view = await call(`v1/clusters/${encodeURIComponent(cluster)}/ring?sectors=${SECTORS}`);
      if (drawn === this.#drawn) this.#draw(view, ids);
    } catch (error) {
      if (drawn !== this.#drawn) return;
      this.#svg.toggleAttribute("hidden", true);
      this.#legend.hidden = true;
      const isWithout = error instanceof ApiError && error.status === 404;
      setText(this.#text, isWithout ? "The policy of this cluster has no ring." : "The ring could not be had.");
    }
  }

  /** Asks again for the URL that is shown: nodes have changed. */
  refresh() {
    if (this.#explanation !== undefined) this.#ask();
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
        path.style.setProperty("--hue", hueOf(Math.max(0, ids.indexOf(id))));
        const title = createSvg("title", {});
        title.textContent = `${id}: ${percent(share)} of all keys`;
        path.append(title);
        return [id, path];
      }),
    );
    this.#svg.replaceChildren(...this.#arcs.values(), this.#centre, this.#centreNote, this.#mark);
    this.#svg.toggleAttribute("hidden", nodes.length === 0);
    const isFew = nodes.length <= NAMED_MAX;
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
    this.#legend.replaceChildren(...(isFew ? nodes.map((node) => legendItem(node, ids.indexOf(node.id))) : []));
    this.#point();
  }

  async #ask() {
    const asked = ++this.#asked;
    try {
      /** @type {Explanation} */
      const explanation = await call(`v1/explain?url=${encodeURIComponent(this.#url.value.trim())}`);
      if (asked !== this.#asked) return;
      this.#explanation = explanation;
      this.#show(explanation);
      this.#onFound(explanation);
    } catch (error) {
      if (asked !== this.#asked) return;
      this.#explanation = undefined;
      this.#found.replaceChildren(create("p", "bad", error instanceof ApiError ? error.message : `${error}`));
    }
    this.#point();
  }

  /** @param {Explanation} explanation */
  #show({ problem, redirect, route, cluster, key, isFixed, node, order }) {
    const facts = create("dl");
    const fact = (/** @type {string} */ name, /** @type {string | undefined} */ value) => {
      if (value !== undefined && value !== "") facts.append(create("dt", "", name), create("dd", "", value));
    };
    fact("Route", route);
    fact("Cluster", cluster);
    fact("Key", key);
    fact("Redirect", redirect === undefined ? undefined : `${redirect.status} to ${redirect.location}`);
    fact("Answer", problem === undefined ? undefined : `${problem.code}: ${problem.detail}`);
    /** @type {Element[]} */
    const parts = [facts];
    if (!isFixed && order.length > 0) {
      parts.push(create("p", "quiet", "Nodes take turns or lots: each request may come to another one of these."));
    }
    const list = create("ol", "order");
    order.slice(0, ORDER_MAX).forEach(({ id, states, isEligible }) => {
      const lands = isFixed && id === node;
      const item = create("li", lands ? "lands" : "");
      const place = !isEligible ? "skips" : !isFixed ? "may" : lands ? "lands on" : "falls to";
      const words = create("span");
      showStates(words, states);
      item.append(create("span", "place", place), create("span", "id", id), words);
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
 * @param {number} index
 */
function legendItem({ id, share }, index) {
  const item = create("li");
  const swatch = create("span", "swatch");
  swatch.style.setProperty("--hue", hueOf(Math.max(0, index)));
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
  // A whole circle has no beginning and no end, and so would not be drawn.
  const end = Math.min(to, from + 0.99999);
  const large = end - from > 0.5 ? 1 : 0;
  const at = (/** @type {number} */ share, /** @type {number} */ radius) => {
    const angle = 2 * Math.PI * share;
    return `${(radius * Math.sin(angle)).toFixed(2)} ${(-radius * Math.cos(angle)).toFixed(2)}`;
  };
  const outer = `M${at(from, OUTER)}A${OUTER} ${OUTER} 0 ${large} 1 ${at(end, OUTER)}`;
  return `${outer}L${at(end, INNER)}A${INNER} ${INNER} 0 ${large} 0 ${at(from, INNER)}Z`;
}
