import { ApiError, call, nodePath } from "./api.js";
import { byId, create, find, once, setText } from "./document.js";
import { latency, NOTHING, short } from "./format.js";
import { showStates } from "./states.js";

/** @typedef {import("./shapes.js").NodeShape} NodeShape */
/** @typedef {import("./shapes.js").NodeEdit} NodeEdit */
/** @typedef {(text: string, options?: { readonly undo?: () => Promise<void> }) => void} Told */

const MODE_NOTES = /** @type {Readonly<Record<string, string>>} */ ({
  active: "Takes every request that comes to it.",
  draining: "Takes no new keys; sessions that are pinned to it stay.",
  disabled: "Takes nothing new at all.",
});

/** @param {NodeEdit} body */
function changed({ mode, weight }) {
  const words = [
    ...(mode === undefined ? [] : [`is ${mode}`]),
    ...(weight === undefined ? [] : [`has weight ${weight}`]),
  ];
  return `${words.join(" and ")} now`;
}

/**
 * What becomes of what runs, and of what comes, when a node takes nothing new any more.
 * @param {NodeShape} node
 * @param {boolean} isLast nobody else of its cluster serves
 */
function consequences({ cluster, inFlight }, isLast) {
  const running =
    inFlight === 0 ? "Nothing is in flight on it." : `${short(inFlight)} in flight on it go on to their end.`;
  return isLast ? `${running} No other node of ${cluster} serves now: its requests will fail.` : running;
}

/** The dialog of one node: what it has done, its mode and weight, and how to repair it. */
export class NodeDialog {
  #dialog = byId("node-dialog", HTMLDialogElement);
  #title = byId("node-title");
  #states = byId("node-states");
  #note = byId("mode-note");
  #weight = byId("weight", HTMLInputElement);
  #facts = byId("node-facts");
  #fault = find(this.#dialog, ".fault");
  #outcome = find(this.#dialog, ".outcome");
  #form = byId("node-form", HTMLFormElement);
  #confirm = byId("confirm");
  #confirmText = byId("confirm-text");
  #yes = byId("confirm-yes");
  /** @type {(() => Promise<unknown>) | undefined} What is done where the answer is yes. */
  #confirmed;
  /** @type {HTMLElement | undefined} What asked, and gets the focus back. */
  #asker;
  /** @type {readonly NodeShape[]} */
  #nodes = [];
  #told;
  /** @type {NodeShape | undefined} As it was when the fields were filled: what differs from it is what is asked for. */
  #node;
  /** @type {NodeShape | undefined} Before the last edit from here: a status that has not heard of it may still come. */
  #before;

  /** @param {Told} told */
  constructor(told) {
    this.#told = told;
    const on = (/** @type {string} */ id, /** @type {() => unknown} */ act) =>
      byId(id).addEventListener("click", () => void act());
    find(this.#dialog, ".cancel").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => {
      this.#node = undefined;
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#apply();
    });
    this.#dialog.addEventListener("change", () => this.#showNote());
    const edit = (/** @type {object} */ body, /** @type {string} */ done) => this.#edit("PATCH", "", { body, done });
    on("weight-reset", () => edit({ weight: null }, "has the weight that the config says"));
    on("reset", () => this.#edit("POST", "/reset", { done: "was reset" }));
    on("mark-alive", () => this.#edit("POST", "/mark-alive", { done: "was marked alive" }));
    on("remove", () => this.#askToRemove());
    on("confirm-no", () => this.#endQuestion());
    on("confirm-yes", () => this.#confirmed?.());
  }

  /**
   * @param {NodeShape} node
   * @param {NodeShape["mode"]} [mode] what is to be asked for; its own otherwise
   */
  open(node, mode = node.mode) {
    this.#node = node;
    this.#before = undefined;
    setText(this.#title, node.id);
    setText(this.#fault, "");
    setText(this.#outcome, "");
    this.#confirm.hidden = true;
    this.#fill({ ...node, mode });
    this.#showFacts(node);
    this.#dialog.showModal();
    find(this.#dialog, "input[name=mode]:checked").focus();
    if (mode !== node.mode) this.#apply();
  }

  /** @param {readonly NodeShape[]} nodes as they are now */
  update(nodes) {
    this.#nodes = nodes;
    const own = this.#node;
    if (own === undefined) return;
    const now = nodes.find(({ cluster, id }) => cluster === own.cluster && id === own.id);
    if (now === undefined) {
      // Its removal from here says so itself.
      if (this.#form.getAttribute("aria-busy") !== "true") this.#told(`${own.id} has left ${own.cluster}.`);
      this.#dialog.close();
      return;
    }
    this.#showFacts(now);
    if (this.#form.getAttribute("aria-busy") !== "true") this.#follow(own, now);
  }

  /**
   * Somebody else may have edited the node meanwhile: what was compared with the old values would not be sent, or be sent for
   * nothing. Fields that were touched here stay.
   * @param {NodeShape} own
   * @param {NodeShape} now
   */
  #follow(own, now) {
    const isSame = (/** @type {NodeShape | undefined} */ other) =>
      other?.mode === now.mode && other.weight === now.weight;
    if (isSame(this.#before)) return;
    this.#before = undefined;
    if (isSame(own)) return;
    const { value } = find(this.#dialog, "input[name=mode]:checked", HTMLInputElement);
    const [isMode, isWeight] = [value === own.mode, this.#weight.valueAsNumber === own.weight];
    this.#node = now;
    // A question that is open stays so.
    if (isMode) {
      find(this.#dialog, `input[value="${now.mode}"]`, HTMLInputElement).checked = true;
      setText(this.#note, MODE_NOTES[now.mode]);
    }
    if (isWeight) this.#weight.value = `${now.weight}`;
    setText(this.#outcome, `Changed from elsewhere: it ${changed(now)}.`);
  }

  /** @param {NodeShape} node */
  isLastServing(node) {
    const serving = this.#nodes.filter(({ cluster, states }) => cluster === node.cluster && states.includes("serving"));
    return serving.length === 1 && serving[0].id === node.id;
  }

  #apply() {
    const node = this.#node;
    if (node === undefined) return;
    const { value } = find(this.#dialog, "input[name=mode]:checked", HTMLInputElement);
    const mode = /** @type {NodeShape["mode"]} */ (value);
    const weight = this.#weight.valueAsNumber;
    /** @type {NodeEdit} */
    const body = { ...(mode === node.mode ? {} : { mode }), ...(weight === node.weight ? {} : { weight }) };
    if (Object.keys(body).length === 0) {
      this.#dialog.close();
      return;
    }
    const before = { ...(body.mode && { mode: node.mode }), ...(body.weight !== undefined && { weight: node.weight }) };
    const change = async () => {
      if (await this.#edit("PATCH", "", { body, done: changed(body), before })) this.#dialog.close();
    };
    const isLast = body.mode !== undefined && this.isLastServing(node);
    if (body.mode !== "disabled" && !isLast) {
      void change();
      return;
    }
    const text = `${MODE_NOTES[mode]} ${consequences(node, isLast)}`;
    this.#ask(text, { yes: mode === "disabled" ? "Yes, disable it" : "Yes, drain it", asker: "apply" }, change);
  }

  #askToRemove() {
    const node = this.#node;
    if (node === undefined) return;
    const text = `${node.id} leaves ${node.cluster}, on every replica that shares the store. ${consequences(
      node,
      this.isLastServing(node),
    )} Add node brings it back.`;
    this.#ask(text, { yes: "Yes, remove it", asker: "remove" }, async () => {
      if (await this.#edit("DELETE", "", { done: "was removed" })) this.#dialog.close();
    });
  }

  /**
   * @param {string} text
   * @param {{ readonly yes: string, readonly asker: string }} words
   * @param {() => Promise<unknown>} act
   */
  #ask(text, { yes, asker }, act) {
    setText(this.#confirmText, text);
    setText(this.#yes, yes);
    this.#confirmed = act;
    this.#asker = byId(asker);
    this.#confirm.hidden = false;
    byId("confirm-no").focus();
  }

  #endQuestion() {
    this.#confirm.hidden = true;
    this.#confirmed = undefined;
    this.#asker?.focus();
  }

  /**
   * @param {string} method
   * @param {string} action below the path of the node
   * @param {{ readonly done: string, readonly body?: object, readonly before?: NodeEdit }} edit with what takes it back
   */
  async #edit(method, action, { done, body, before }) {
    const node = this.#node;
    let isDone = false;
    if (node === undefined) return isDone;
    await once(this.#form, async () => {
      setText(this.#fault, "");
      setText(this.#outcome, "");
      try {
        /** @type {import("./shapes.js").ChangeShape} */
        const change = await call(`${nodePath(node)}${action}`, { method, ...(body === undefined ? {} : { body }) });
        isDone = true;
        this.#tell(
          node,
          change.result === "applied" ? `${node.id} ${done}.` : `${node.id}: nothing to change.`,
          before,
        );
        if (change.node !== undefined && this.#node === node) {
          this.#before = node;
          this.#node = change.node;
          this.#fill(change.node);
        }
      } catch (error) {
        // The dialog may be of another node by now, and nobody knows which one is meant.
        const text = error instanceof ApiError ? error.message : `${error}`;
        if (this.#node === node) setText(this.#fault, `Not changed: ${text}.`);
        else this.#told(`${node.id} was not changed: ${text}`);
      }
    });
    return isDone && this.#node?.id === node.id;
  }

  /**
   * Here while the dialog is open: what stands behind it is neither seen nor heard.
   * @param {NodeShape} node
   * @param {string} text
   * @param {NodeEdit | undefined} before
   */
  #tell(node, text, before) {
    setText(this.#outcome, text);
    if (before === undefined) this.#told(text);
    else this.#told(text, { undo: async () => void (await call(nodePath(node), { method: "PATCH", body: before })) });
  }

  /** @param {NodeShape} node */
  #fill({ mode, weight }) {
    find(this.#dialog, `input[value="${mode}"]`, HTMLInputElement).checked = true;
    this.#weight.value = `${weight}`;
    this.#showNote();
  }

  #showNote() {
    const { value } = find(this.#dialog, "input[name=mode]:checked", HTMLInputElement);
    setText(this.#note, MODE_NOTES[value]);
    this.#confirm.hidden = true;
  }

  /** @param {NodeShape} node */
  #showFacts(node) {
    showStates(this.#states, node.states);
    const { responses, latencyMs } = node;
    const facts = {
      Attempts: short(node.attempts),
      Faults: short(node.faults),
      "Failed dials": short(node.dialsFailed),
      Connections: short(node.connections),
      "Idle connections": short(node.idleConnections),
      "In flight": short(node.inFlight),
      Breaker: node.breaker,
      Checks: node.check,
      ...Object.fromEntries(Object.entries(responses).map(([name, count]) => [`Answers ${name}`, short(count)])),
      "Latency p50": latencyMs === null ? NOTHING : latency(latencyMs.p50),
      "Latency p99": latencyMs === null ? NOTHING : latency(latencyMs.p99),
    };
    Object.entries(facts).forEach(([name, value], index) => {
      const row = this.#facts.children[index] ?? this.#facts.appendChild(create("div"));
      if (row.childElementCount === 0) row.append(create("dt"), create("dd"));
      setText(find(row, "dt"), name);
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
    const form = byId("add-form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void once(form, () => this.#add(told));
    });
  }

  /** @param {Told} told */
  async #add(told) {
    setText(this.#fault, "");
    const body = { node: this.#node.value.trim(), weight: this.#weight.valueAsNumber };
    try {
      await call(`v1/clusters/${encodeURIComponent(this.#cluster)}/nodes`, { method: "POST", body });
      told(`${body.node} was added to ${this.#cluster}.`);
      this.#dialog.close();
    } catch (error) {
      setText(this.#fault, error instanceof ApiError ? error.message : `${error}`);
    }
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
