import type { Terminal } from "./terminal.js";

const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

/** The whole terminal, painted over without flicker, and given back as it was. */
export class Screen {
  readonly #terminal: Terminal;
  readonly #giveBack = () => this.close();
  #isOpen = true;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    // Whatever ends the process, a mistake of ours included, leaves a terminal that can be worked with.
    process.on("exit", this.#giveBack);
    terminal.write(ENTER);
  }

  /** Lines that fit. */
  paint(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    // From the top, each line cleared behind its end and everything behind the last: nothing is blank in between.
    this.#terminal.write(`\x1b[H${lines.map((line) => `${line}\x1b[K`).join("\r\n")}\x1b[J`);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    process.off("exit", this.#giveBack);
    this.#terminal.write(LEAVE);
  }
}
