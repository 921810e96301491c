import { byId, setText } from "./document.js";
import { counted, duration, latency, percent, short } from "./format.js";
import { Plot, roundTop } from "./plot.js";
import { inWords, last, SAMPLES_MAX } from "./series.js";
import { badge } from "./states.js";

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
    const { version, pid, uptimeMs, ready, store, nodes } = status;
    setText(byId("process"), `${version} · process ${pid} · up ${duration(uptimeMs)}`);
    const { word, shape, tone } = conditionOf(status);
    show(this.#state, word, () => badge(shape, tone, word));
    document.title = `${ready ? "" : `${word} · `}fnlb`;
    const serving = nodes.filter(({ states }) => states.includes("serving")).length;
    setText(byId("state-note"), `${serving} of ${counted(nodes.length, "node")} serving`);
    setText(byId("in-flight"), short(status.exchanges));
    const waiting = status.queued > 0 ? `${short(status.queued)} waiting` : "none waiting";
    setText(byId("in-flight-note"), waiting);
    setText(byId("connections"), short(status.connections));
    setText(byId("connections-note"), counted(status.tunnels, "tunnel"));
    const { shape: storeShape, tone: storeTone, word: storeWord, note } = STORES[store] ?? STORES.down;
    show(this.#store, store, () => badge(storeShape, storeTone, storeWord));
    setText(byId("store-note"), note);
  }

  /** @param {import("./series.js").Series} total */
  draw(total) {
    const rate = last(total.rate);
    const errors = last(total.errors);
    setText(byId("rate"), short(rate));
    setText(byId("errors"), short(errors));
    byId("errors").classList.toggle("bad", (errors ?? 0) > 0);
    setText(byId("errors-unit"), errors && rate ? `/s, ${percent(Math.min(1, errors / rate))}` : "/s");
    setText(byId("p99"), latency(last(total.p99Ms)));
    setText(byId("p50"), `p50 ${latency(last(total.p50Ms))}`);
    const draw = (/** @type {Plot} */ plot, /** @type {(number | null)[]} */ values, /** @type {string} */ text) =>
      plot.draw(total, { samplesMax: SAMPLES_MAX, top: roundTop([values], 1), text });
    draw(this.#ratePlot, total.rate, inWords("Requests a second", total.rate, short));
    draw(this.#errorsPlot, total.errors, inWords("Errors a second", total.errors, short));
    draw(this.#latencyPlot, total.p99Ms, inWords("p99 of the time to the head of a response", total.p99Ms, latency));
  }
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
