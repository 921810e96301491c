import type { Terminal } from "./terminal.js";

const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

/** The whole terminal, painted over without flicker, and given back as it was. */
export class Screen {
  readonly #terminal: Terminal;
  readonly #giveBack = () => this.close();
  /** Ctrl-Z leaves a terminal that can be worked with, too. */
  readonly #onStop = () => {
    this.#terminal.write(LEAVE);
    process.kill(process.pid, "SIGSTOP");
  };
  readonly #onContinue = () => this.#terminal.write(ENTER);
  #isOpen = true;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    // Whatever ends the process, a mistake of ours included, leaves a terminal that can be worked with.
    process.on("exit", this.#giveBack);
    process.on("SIGTSTP", this.#onStop);
    process.on("SIGCONT", this.#onContinue);
    terminal.write(ENTER);
  }

  /** Lines that fit. */
  paint(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    // Each line is cleared before it is written: behind one that is as wide as the terminal, that would take its last cell.
    const text = lines.map((line) => `\x1b[2K${line}`).join("\n");
    this.#terminal.write(`\x1b[H${text}${lines.length < this.#terminal.rows() ? "\n\x1b[J" : ""}`);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    process.off("exit", this.#giveBack);
    process.off("SIGTSTP", this.#onStop);
    process.off("SIGCONT", this.#onContinue);
    this.#terminal.write(LEAVE);
  }
}
