import type { Node, NodeMode } from "../core/node.js";

const WORDS_MAX = 10_000;

/** What the operator said of nodes that are gone, by id: one that comes back is still drained. The oldest are forgotten. */
export class OperatorWords {
  readonly #modes = new Map<string, NodeMode>();

  keep({ id, mode }: Node): void {
    if (mode === "active") return;
    this.#modes.delete(id);
    this.#modes.set(id, mode);
    const [oldest] = this.#modes.keys();
    if (this.#modes.size > WORDS_MAX) this.#modes.delete(oldest);
  }

  modeOf(id: string): NodeMode {
    return this.#modes.get(id) ?? "active";
  }

  /** The node is back and has its mode itself. */
  forget({ id }: Node): void {
    this.#modes.delete(id);
  }
}
