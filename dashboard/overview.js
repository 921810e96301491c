import { byId, setText } from "./document.js";
import { counted, duration, latency, percent, short } from "./format.js";
import { Plot, roundTop } from "./plot.js";
import { inWords, last, SAMPLES_MAX } from "./series.js";
import { badge } from "./states.js";

/** The figures at the top: the balancer as a whole. */
export class Overview {
  #state = byId("state");
  #store = byId("store");
  #ratePlot = new Plot(byId("rate-plot"), [{ name: "rate", isFilled: true }]);
  #errorsPlot = new Plot(byId("errors-plot"), [{ name: "errors", className: "errors", isFilled: true }]);
  #latencyPlot = new Plot(byId("p99-plot"), [{ name: "p50Ms", className: "second" }, { name: "p99Ms" }]);

  /** @param {import("./shapes.js").StatusShape} status */
  update(status) {
    const { version, pid, uptimeMs, state, ready, store, nodes } = status;
    setText(byId("process"), `${version} · process ${pid} · up ${duration(uptimeMs)}`);
    const isDraining = state === "draining";
    const word = isDraining ? "Draining" : ready ? "Ready" : "Not ready";
    show(this.#state, word, () =>
      badge(isDraining ? "draining" : ready ? "serving" : "dead", isDraining ? "warn" : ready ? "good" : "bad", word),
    );
    document.title = `${ready ? "" : `${word} · `}fnlb`;
    const serving = nodes.filter(({ states }) => states.includes("serving")).length;
    setText(byId("state-note"), `${serving} of ${counted(nodes.length, "node")} serving`);
    setText(byId("in-flight"), short(status.exchanges));
    const waiting = status.queued > 0 ? `${short(status.queued)} waiting` : "none waiting";
    setText(byId("in-flight-note"), waiting);
    setText(byId("connections"), short(status.connections));
    setText(byId("connections-note"), counted(status.tunnels, "tunnel"));
    show(this.#store, store, () =>
      badge(store === "up" ? "serving" : "dead", store === "up" ? "good" : "bad", store === "up" ? "Up" : store),
    );
    setText(byId("store-note"), store === "up" ? "edits are taken" : "edits are refused");
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
 * @param {HTMLElement} parent
 * @param {string} key what is shown
 * @param {() => Element} make
 */
function show(parent, key, make) {
  if (parent.dataset.shown === key) return;
  parent.dataset.shown = key;
  parent.replaceChildren(make());
}
