import { ApiError, call, nodePath } from "./api.js";
import { byId, create, find, setText } from "./document.js";
import { latency, NOTHING, short } from "./format.js";
import { showStates } from "./states.js";

/** @typedef {import("./shapes.js").NodeShape} NodeShape */
/** @typedef {(text: string) => void} Told */

const MODE_NOTES = /** @type {Readonly<Record<string, string>>} */ ({
  active: "Takes every request that comes to it.",
  draining: "Takes no new keys; sessions that are pinned to it stay.",
  disabled: "Takes nothing new at all.",
});

/** The dialog of one node: what it has done, its mode and weight, and how to repair it. */
export class NodeDialog {
  #dialog = byId("node-dialog", HTMLDialogElement);
  #title = byId("node-title");
  #states = byId("node-states");
  #note = byId("mode-note");
  #weight = byId("weight", HTMLInputElement);
  #facts = byId("node-facts");
  #fault = find(this.#dialog, ".fault");
  #confirm = byId("remove-confirm");
  #told;
  /** @type {NodeShape | undefined} */
  #node;

  /** @param {Told} told */
  constructor(told) {
    this.#told = told;
    const on = (/** @type {string} */ id, /** @type {() => unknown} */ act) =>
      byId(id).addEventListener("click", () => void act());
    find(this.#dialog, ".cancel").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => {
      this.#node = undefined;
    });
    byId("node-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#apply();
    });
    this.#dialog.addEventListener("change", () => this.#showNote());
    on("weight-reset", () => this.#edit("PATCH", "", { weight: null }, "has the weight that the config says"));
    on("reset", () => this.#edit("POST", "/reset", undefined, "was reset"));
    on("mark-alive", () => this.#edit("POST", "/mark-alive", undefined, "was marked alive"));
    on("remove", () => {
      this.#confirm.hidden = false;
      byId("remove-no").focus();
    });
    on("remove-no", () => {
      this.#confirm.hidden = true;
      byId("remove").focus();
    });
    on("remove-yes", async () => {
      if (await this.#edit("DELETE", "", undefined, "was removed")) this.#dialog.close();
    });
  }

  /** @param {NodeShape} node */
  open(node) {
    this.#node = node;
    setText(this.#title, node.id);
    setText(this.#fault, "");
    this.#confirm.hidden = true;
    this.#fill(node);
    this.#showFacts(node);
    this.#dialog.showModal();
    find(this.#dialog, "input[name=mode]:checked").focus();
  }

  /** @param {readonly NodeShape[]} nodes as they are now */
  update(nodes) {
    const own = this.#node;
    if (own === undefined) return;
    const now = nodes.find(({ cluster, id }) => cluster === own.cluster && id === own.id);
    if (now === undefined) this.#dialog.close();
    else this.#showFacts(now);
  }

  async #apply() {
    const node = this.#node;
    if (node === undefined) return;
    const mode = find(this.#dialog, "input[name=mode]:checked", HTMLInputElement).value;
    const weight = this.#weight.valueAsNumber;
    const change = { ...(mode === node.mode ? {} : { mode }), ...(weight === node.weight ? {} : { weight }) };
    const isNothing = Object.keys(change).length === 0;
    if (isNothing || (await this.#edit("PATCH", "", change, "was changed"))) this.#dialog.close();
  }

  /**
   * @param {string} method
   * @param {string} action below the path of the node
   * @param {object | undefined} body
   * @param {string} done
   */
  async #edit(method, action, body, done) {
    const node = this.#node;
    if (node === undefined) return false;
    setText(this.#fault, "");
    try {
      /** @type {import("./shapes.js").ChangeShape} */
      const change = await call(`${nodePath(node)}${action}`, { method, ...(body === undefined ? {} : { body }) });
      this.#told(change.result === "applied" ? `${node.id} ${done}.` : `${node.id}: nothing to change.`);
      if (change.node !== undefined && this.#node === node) {
        this.#node = change.node;
        this.#fill(change.node);
      }
      return true;
    } catch (error) {
      setText(this.#fault, error instanceof ApiError ? error.message : `${error}`);
      return false;
    }
  }

  /** @param {NodeShape} node */
  #fill({ mode, weight }) {
    find(this.#dialog, `input[value="${mode}"]`, HTMLInputElement).checked = true;
    this.#weight.value = `${weight}`;
    this.#showNote();
  }

  #showNote() {
    const { value } = find(this.#dialog, "input[name=mode]:checked", HTMLInputElement);
    setText(this.#note, MODE_NOTES[value] ?? "");
  }

  /** @param {NodeShape} node */
  #showFacts(node) {
    showStates(this.#states, node.states);
    const { responses, latencyMs } = node;
    const facts = {
      Attempts: short(node.attempts),
      Faults: short(node.faults),
      "Failed dials": short(node.dialsFailed),
      Connections: `${short(node.connections)}, ${short(node.idleConnections)} idle`,
      "In flight": short(node.inFlight),
      Breaker: node.breaker,
      Checks: node.check,
      ...Object.fromEntries(Object.entries(responses).map(([name, count]) => [`Answers ${name}`, short(count)])),
      "Latency p50": latencyMs === null ? NOTHING : latency(latencyMs.p50),
      "Latency p99": latencyMs === null ? NOTHING : latency(latencyMs.p99),
    };
    Object.entries(facts).forEach(([name, value], index) => {
      const row = this.#facts.children[index] ?? this.#facts.appendChild(create("div"));
      if (row.childElementCount === 0) row.append(create("dt", "", name), create("dd"));
      setText(find(row, "dd"), value);
    });
  }
}

/** The dialog that adds a node to a cluster. */
export class AddDialog {
  #dialog = byId("add-dialog", HTMLDialogElement);
  #text = byId("add-text");
  #node = byId("add-node", HTMLInputElement);
  #weight = byId("add-weight", HTMLInputElement);
  #fault = find(this.#dialog, ".fault");
  #cluster = "";

  /** @param {Told} told */
  constructor(told) {
    find(this.#dialog, ".cancel").addEventListener("click", () => this.#dialog.close());
    byId("add-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      setText(this.#fault, "");
      const body = { node: this.#node.value.trim(), weight: this.#weight.valueAsNumber };
      try {
        await call(`v1/clusters/${encodeURIComponent(this.#cluster)}/nodes`, { method: "POST", body });
        told(`${body.node} was added to ${this.#cluster}.`);
        this.#dialog.close();
      } catch (error) {
        setText(this.#fault, error instanceof ApiError ? error.message : `${error}`);
      }
    });
  }

  /** @param {string} cluster */
  open(cluster) {
    this.#cluster = cluster;
    setText(this.#text, `To cluster ${cluster}, on every replica that shares the store.`);
    setText(this.#fault, "");
    this.#node.value = "";
    this.#weight.value = "1";
    this.#dialog.showModal();
    this.#node.focus();
  }
}
