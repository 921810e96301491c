import type { Terminal } from "./terminal.js";
import { cutText, plainText } from "./text-width.js";

/** What is left of something that takes long: one line that is painted over on a terminal, a line for each change elsewhere. */
export class Progress {
  readonly #terminal: Terminal;
  readonly #isSilent: boolean;
  #shown = "";

  constructor(terminal: Terminal, isSilent: boolean) {
    this.#terminal = terminal;
    this.#isSilent = isSilent;
  }

  show(text: string): void {
    if (this.#isSilent || text === this.#shown) return;
    this.#shown = text;
    const { isTty } = this.#terminal;
    // A line that wraps could not be painted over.
    const line = isTty ? cutText(plainText(text), this.#terminal.columns() - 1) : plainText(text);
    this.#terminal.write(isTty ? `\r\x1b[K${line}` : `${line}\n`);
  }

  /** Leaves no half a line behind, for what comes next. */
  end(): void {
    if (this.#shown !== "" && this.#terminal.isTty) this.#terminal.write("\r\x1b[K");
    this.#shown = "";
  }
}
