import { byId, create, setText } from "./document.js";
import { badge, lookOf, TROUBLES } from "./states.js";

/**
 * How many nodes of a cluster are in which state but serving, worst first. Each count is a button that shows only those.
 */
export class Troubles {
  #list = byId("troubles");
  /** @type {Map<string, { readonly button: HTMLButtonElement, readonly count: HTMLElement }>} by state */
  #buttons = new Map();
  #chosen = "";
  #onChoice;

  /** @param {() => void} onChoice */
  constructor(onChoice) {
    this.#onChoice = onChoice;
    for (const state of TROUBLES) {
      const { tone, word } = lookOf(state);
      const button = create("button");
      const count = create("span", "count");
      button.type = "button";
      button.hidden = true;
      button.setAttribute("aria-pressed", "false");
      button.append(badge(state, tone, word), count);
      button.addEventListener("click", () => this.choose(this.#chosen === state ? "" : state));
      this.#buttons.set(state, { button, count });
      this.#list.append(button);
    }
  }

  /** The state that nodes must have to be shown; empty: any. */
  get chosen() {
    return this.#chosen;
  }

  /** @param {string} state */
  choose(state) {
    if (state === this.#chosen) return;
    this.#chosen = state;
    for (const [own, { button }] of this.#buttons) button.setAttribute("aria-pressed", `${own === state}`);
    this.#show();
    this.#onChoice();
  }

  /** @param {readonly import("./shapes.js").NodeShape[]} nodes of one cluster */
  update(nodes) {
    for (const [state, { count }] of this.#buttons) {
      setText(count, `${nodes.filter(({ states }) => states.includes(state)).length}`);
    }
    this.#show();
  }

  /** The last one may recover while only such nodes are shown: the way back stays. */
  #show() {
    for (const [state, { button, count }] of this.#buttons) {
      button.hidden = ["", "0"].includes(count.textContent ?? "") && this.#chosen !== state;
    }
  }
}
