import { byId, find, once, setAttribute, setText } from "./document.js";
import { counted, latency, NOTHING, percent, perSecond, short } from "./format.js";
import { HUES, hueOf } from "./hues.js";
import { Plot, roundTop } from "./plot.js";
import { emptySeries, inWords, last, meanOfLast } from "./series.js";
import { showStates, toneOf, wordsOf } from "./states.js";
import { Troubles } from "./troubles.js";

/** @typedef {import("./shapes.js").NodeShape} NodeShape */

/** Of which the share is the mean: a minute. */
const SHARE_SAMPLES = 30;
/** From so many nodes on there is a field to filter them. */
const FILTER_FROM = 9;

/**
 * @typedef {object} RowActions
 * @property {(node: NodeShape) => Promise<void>} onToggle
 * @property {(node: NodeShape) => void} onManage
 */

/** The rows of the nodes of one cluster, in the order of the API, changed in place. */
export class Rows {
  #body = byId("rows");
  #template = byId("row", HTMLTemplateElement);
  #empty = byId("empty");
  #filter = byId("filter", HTMLInputElement);
  #filterLabel = byId("filter-label");
  #troubles = new Troubles(() => this.#applyFilter());
  #shareScale = byId("share-scale");
  #rateScale = byId("rate-scale");
  #latencyScale = byId("latency-scale");
  /** @type {Map<string, Row>} by id of the node */
  #rows = new Map();
  #actions;

  /** @param {RowActions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#filter.addEventListener("input", () => this.#applyFilter());
  }

  /** @param {readonly NodeShape[]} nodes of one cluster */
  update(nodes) {
    const ids = new Set(nodes.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    this.#body.classList.toggle("hued", nodes.length <= HUES);
    let place = this.#body.firstElementChild;
    nodes.forEach((node, index) => {
      let row = this.#rows.get(node.id);
      if (row === undefined) {
        row = new Row(this.#template, this.#actions);
        row.draw(emptySeries(), { sum: 0, most: 0, rateTop: 1, latencyTop: 1 });
        this.#rows.set(node.id, row);
      }
      row.update(node, hueOf(index, nodes.length));
      if (row.element === place) place = place.nextElementSibling;
      else this.#body.insertBefore(row.element, place);
    });
    this.#filterLabel.hidden = nodes.length < FILTER_FROM;
    if (this.#filterLabel.hidden) this.#filter.value = "";
    this.#troubles.update(nodes);
    this.#applyFilter();
  }

  /** Takes all away, for another cluster. */
  clear() {
    this.#troubles.choose("");
    this.update([]);
  }

  /** @param {ReadonlyMap<string, import("./series.js").Series>} series by id of the node */
  draw(series) {
    const all = [...series.values()];
    const rateTop = roundTop(
      all.flatMap(({ rate, errors }) => [rate, errors]),
      1,
    );
    const latencyTop = roundTop(
      all.map(({ p99Ms }) => p99Ms),
      1,
    );
    setText(this.#rateScale, all.length === 0 ? "" : `0 to ${short(rateTop)}`);
    setText(this.#latencyScale, all.length === 0 ? "" : `0 to ${latency(latencyTop)}`);
    const means = all.map(({ rate }) => meanOfLast(rate, SHARE_SAMPLES) ?? 0);
    const sum = means.reduce((total, mean) => total + mean, 0);
    const most = Math.max(0, ...means);
    setText(this.#shareScale, sum === 0 ? "" : `0 to ${percent(most / sum)}`);
    const scale = { sum, most, rateTop, latencyTop };
    for (const [id, row] of this.#rows) row.draw(series.get(id) ?? emptySeries(), scale);
  }

  /** @param {string | undefined} id of the node where a URL lands */
  mark(id) {
    for (const [own, { element }] of this.#rows) element.classList.toggle("found-here", own === id);
  }

  #applyFilter() {
    const wanted = this.#filter.value.trim().toLowerCase();
    let shown = 0;
    for (const row of this.#rows.values()) {
      row.element.hidden = !(row.words.includes(wanted) && row.isIn(this.#troubles.chosen));
      if (!row.element.hidden) shown++;
    }
    this.#empty.hidden = shown > 0;
    setText(this.#empty, this.#rows.size === 0 ? "No nodes." : "No node is called so, or in such a state now.");
  }
}

class Row {
  element;
  /** What a filter looks at. */
  words = "";
  /** @type {NodeShape | undefined} */
  #node;
  #parts;
  #ratePlot;
  #latencyPlot;

  /**
   * @param {HTMLTemplateElement} template
   * @param {RowActions} actions
   */
  constructor(template, { onToggle, onManage }) {
    const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    this.element = find(copy, "tr");
    const part = (/** @type {string} */ selector) => find(this.element, selector);
    this.#parts = {
      id: part(".id"),
      weight: part(".weight"),
      states: part(".states"),
      share: part(".share"),
      shareText: part(".share-text"),
      rate: part(".rate-text"),
      errors: part(".errors"),
      latency: part(".latency-text"),
      inFlight: part(".in-flight"),
      toggle: find(this.element, ".toggle", HTMLButtonElement),
      manage: part(".manage"),
    };
    this.#ratePlot = new Plot(part(".rate-plot"), [
      { name: "rate", isFilled: true },
      { name: "errors", className: "errors" },
    ]);
    this.#latencyPlot = new Plot(part(".latency-plot"), [{ name: "p50Ms", className: "second" }, { name: "p99Ms" }]);
    const { toggle, manage } = this.#parts;
    toggle.addEventListener("click", () => {
      const node = this.#node;
      if (node !== undefined) void once(toggle, () => onToggle(node));
    });
    manage.addEventListener("click", () => {
      if (this.#node !== undefined) onManage(this.#node);
    });
  }

  /** @param {string} state empty: any */
  isIn(state) {
    return state === "" || (this.#node?.states.includes(state) ?? false);
  }

  /**
   * @param {NodeShape} node
   * @param {string} hue empty: none of its own
   */
  update(node, hue) {
    const { id, weight, states, inFlight, toggle, manage } = this.#parts;
    this.#node = node;
    this.words = `${node.id} ${wordsOf(node.states)}`.toLowerCase();
    this.element.style.setProperty("--hue", hue);
    setAttribute(this.element, "data-tone", toneOf(node.states));
    setText(id, node.id);
    setText(weight, node.weight === 1 ? "" : `weight ${node.weight}`);
    showStates(states, node.states);
    setText(inFlight, short(node.inFlight));
    const action = node.mode === "active" ? "Drain" : "Enable";
    setText(toggle, action);
    // The same words stand in every row: by ear only the name of the node tells them apart.
    setAttribute(toggle, "aria-label", `${action} ${node.id}`);
    setAttribute(manage, "aria-label", `Manage ${node.id}`);
  }

  /**
   * @param {import("./series.js").Series} series
   * @param {{ readonly sum: number, readonly most: number, readonly rateTop: number, readonly latencyTop: number }} scale
   */
  draw(series, { sum, most, rateTop, latencyTop }) {
    const { share, shareText, rate, errors, latency: latencyText } = this.#parts;
    const own = meanOfLast(series.rate, SHARE_SAMPLES);
    const ownShare = own === null || sum === 0 ? null : own / sum;
    setText(shareText, percent(ownShare));
    // Against the largest one: the equal shares of a hundred nodes would all be dots.
    share.style.setProperty("--share", ownShare === null ? "0" : ((own ?? 0) / most).toFixed(3));
    setText(rate, perSecond(last(series.rate)));
    const failing = last(series.errors) ?? null;
    setText(errors, perSecond(failing));
    errors.classList.toggle("some", failing !== null && failing > 0);
    const [p50, p99] = [last(series.p50Ms), last(series.p99Ms)].map((ms) => latency(ms));
    setText(
      latencyText,
      p50 === NOTHING ? NOTHING : `${unitOf(p50) === unitOf(p99) ? p50.split(" ")[0] : p50} · ${p99}`,
    );
    const rateWords = `${inWords("Requests a second", series.rate, perSecond)}; errors now ${perSecond(failing)}`;
    this.#ratePlot.draw(series, { top: rateTop, text: rateWords });
    const latencyWords = inWords("p99 of the time to the head of a response", series.p99Ms, latency);
    this.#latencyPlot.draw(series, { top: latencyTop, text: latencyWords });
  }
}

/** @param {string} text a number and its unit */
function unitOf(text) {
  return text.split(" ")[1];
}

/** @param {import("./shapes.js").ClusterShape} cluster */
export function clusterNote({ policy, nodes, serving, queued, isPanic, limits }) {
  return [
    policy,
    `${serving} of ${counted(nodes, "node")} serving`,
    ...(queued > 0 ? [`${short(queued)} of ${short(limits.queueMax)} places to wait taken`] : []),
    ...(isPanic ? ["panic: ejected nodes serve"] : []),
  ].join(" · ");
}
