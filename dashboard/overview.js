import { byId, setText } from "./document.js";
import { counted, duration, latency, percent, perSecond, short } from "./format.js";
import { Plot, roundTop } from "./plot.js";
import { inWords, last } from "./series.js";
import { badge, toneOf } from "./states.js";

/** How the store that replicas share looks, by its state, and what that means for operators. */
const STORES = /** @type {Readonly<Record<string, { shape: string, tone: string, word: string, note: string }>>} */ ({
  none: { shape: "disabled", tone: "off", word: "None", note: "edits are not kept" },
  connecting: { shape: "unchecked", tone: "warn", word: "Connecting", note: "edits are refused" },
  up: { shape: "serving", tone: "good", word: "Up", note: "edits are shared" },
  down: { shape: "dead", tone: "bad", word: "Down", note: "edits are refused" },
  closed: { shape: "dead", tone: "bad", word: "Closed", note: "edits are refused" },
});

/** The figures at the top: the balancer as a whole. */
export class Overview {
  #state = byId("state");
  #store = byId("store");
  #ratePlot = new Plot(byId("rate-plot"), [{ name: "rate", isFilled: true }]);
  #errorsPlot = new Plot(byId("errors-plot"), [{ name: "errors", className: "errors", isFilled: true }]);
  #latencyPlot = new Plot(byId("p99-plot"), [{ name: "p50Ms", className: "second" }, { name: "p99Ms" }]);

  /** @param {import("./shapes.js").StatusShape} status */
  update(status) {
    const { version, pid, uptimeMs, store, nodes, clusters, listeners } = status;
    setText(byId("process"), `${version} · process ${pid} · up ${duration(uptimeMs)}`);
    const { word, shape, tone } = conditionOf(status);
    show(this.#state, word, () => badge(shape, tone, word));
    const serving = nodes.filter(({ states }) => states.includes("serving")).length;
    const count = `${serving} of ${counted(nodes.length, "node")} serving`;
    const troubles = [...unservedOf(clusters), ...pausedOf(listeners), ...unfoundOf(clusters)];
    const noteTone = troubles.length > 0 ? "bad" : serving < nodes.length ? "warn" : "";
    showNote("state-note", [...troubles, count].join("\n"), noteTone);
    setText(byId("in-flight"), short(status.exchanges));
    const full = clusters.filter(({ queued, limits }) => queued > 0 && queued >= limits.queueMax);
    const waiting = status.queued > 0 ? `${short(status.queued)} waiting` : "none waiting";
    const isFull = full.length > 0;
    const notes = isFull ? [waiting, `queue of ${namesOf(full)} full`] : [waiting];
    showNote("in-flight-note", notes.join("\n"), isFull ? "bad" : status.queued > 0 ? "warn" : "");
    setText(byId("connections"), short(status.connections));
    setText(byId("connections-note"), counted(status.tunnels, "tunnel"));
    const { shape: storeShape, tone: storeTone, word: storeWord, note } = STORES[store] ?? STORES.down;
    show(this.#store, store, () => badge(storeShape, storeTone, storeWord));
    showNote("store-note", note, storeTone === "bad" || storeTone === "warn" ? storeTone : "");
  }

  /** @param {import("./series.js").Series} total */
  draw(total) {
    const rate = last(total.rate);
    const errors = last(total.errors);
    setText(byId("rate"), perSecond(rate));
    setText(byId("errors"), perSecond(errors));
    byId("errors").classList.toggle("bad", (errors ?? 0) > 0);
    setText(byId("errors-unit"), errors && rate ? `/s, ${percent(Math.min(1, errors / rate))}` : "/s");
    setText(byId("p99"), latency(last(total.p99Ms)));
    setText(byId("p50"), `p50 ${latency(last(total.p50Ms))}`);
    const rateTop = roundTop([total.rate], 1);
    const errorsTop = roundTop([total.errors], 1);
    const p99Top = roundTop([total.p99Ms], 1);
    this.#ratePlot.draw(total, { top: rateTop, text: inWords("Requests a second", total.rate, perSecond) });
    this.#errorsPlot.draw(total, { top: errorsTop, text: inWords("Errors a second", total.errors, perSecond) });
    const p99Words = inWords("p99 of the time to the head of a response", total.p99Ms, latency);
    this.#latencyPlot.draw(total, { top: p99Top, text: p99Words });
    const isKnown = (/** @type {readonly (number | null)[]} */ values) => values.some((value) => value !== null);
    setText(byId("rate-top"), isKnown(total.rate) ? `0 to ${short(rateTop)}` : "");
    setText(byId("errors-top"), isKnown(total.errors) ? `0 to ${short(errorsTop)}` : "");
    setText(byId("p99-top"), isKnown(total.p99Ms) ? `0 to ${latency(p99Top)}` : "");
  }
}

/**
 * Seen from other tabs, while nothing else of the page is.
 * @param {import("./shapes.js").StatusShape} status
 */
export function titleOf(status) {
  const down = status.nodes.filter(({ states }) => toneOf(states) === "bad").length;
  return `${status.ready ? "" : `${conditionOf(status).word} · `}${down === 0 ? "" : `${down} down · `}fnlb`;
}

/**
 * What is asked for at clusters that have nobody to answer.
 * @param {readonly import("./shapes.js").ClusterShape[]} clusters
 */
function unservedOf(clusters) {
  const unserved = clusters.filter(({ canServe }) => !canServe);
  return unserved.length === 0 ? [] : [`nobody serves ${namesOf(unserved)}`];
}

/**
 * What is wrong with the sources of nodes.
 * @param {readonly import("./shapes.js").ClusterShape[]} clusters
 */
function unfoundOf(clusters) {
  return clusters.flatMap(({ name, discovery }) =>
    discovery?.trouble ? [`nodes of ${name}: ${discovery.trouble}`] : [],
  );
}

/** @param {import("./shapes.js").StatusShape["listeners"]} listeners */
function pausedOf(listeners) {
  const paused = listeners.filter(({ state }) => state === "paused").length;
  return paused === 0 ? [] : [`${paused} of ${counted(listeners.length, "listener")} paused`];
}

/** @param {readonly { readonly name: string }[]} clusters */
function namesOf(clusters) {
  return clusters.map(({ name }) => name).join(", ");
}

/**
 * @param {string} id
 * @param {string} text
 * @param {string} tone
 */
function showNote(id, text, tone) {
  const note = byId(id);
  setText(note, text);
  note.className = tone === "" ? "quiet" : tone;
}

/**
 * What keeps requests out, if anything does.
 * @param {import("./shapes.js").StatusShape} status
 */
function conditionOf({ state, ready, listeners }) {
  if (state === "draining") return { word: "Draining", shape: "draining", tone: "warn" };
  if (state === "starting") return { word: "Starting", shape: "unchecked", tone: "off" };
  if (ready) return { word: "Ready", shape: "serving", tone: "good" };
  const isPaused = listeners.length > 0 && listeners.every((listener) => listener.state === "paused");
  return isPaused
    ? { word: "Paused", shape: "disabled", tone: "warn" }
    : { word: "Not ready", shape: "dead", tone: "bad" };
}

/**
 * @param {HTMLElement} parent
 * @param {string} key what is shown
 * @param {() => Element} make
 */
function show(parent, key, make) {
  if (parent.dataset.shown === key) return;
  parent.dataset.shown = key;
  parent.replaceChildren(make());
}
