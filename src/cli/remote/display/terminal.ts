import { plainText } from "./text-width.js";

/** Where a command writes to: standard output and standard error, or what stands for them in a test. */
export interface Terminal {
  /** Somebody looks at it; else a file or a program reads. */
  readonly isTty: boolean;
  readonly hasColor: boolean;
  /** Cells in a line; unlimited where nobody looks. */
  columns(): number;
  rows(): number;
  write(text: string): void;
  /** One line on standard error. */
  complain(line: string): void;
  /** Calls back whenever the size has changed, until the returned function is called. */
  onResize(listener: () => void): () => void;
  /** Calls back once nobody reads any more, as behind `| head`. */
  onGone(listener: () => void): () => void;
}

/** The terminal, pipe or file of this process. Colour is for terminals, unless NO_COLOR is set (no-color.org) or they are dumb. */
export function processTerminal(env: NodeJS.ProcessEnv): Terminal {
  const { stdout, stderr } = process;
  const isTty = stdout.isTTY === true;
  return {
    isTty,
    hasColor: isTty && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb",
    // Some terminals do not know their size and say 0.
    columns: () => (isTty ? stdout.columns || 80 : Number.POSITIVE_INFINITY),
    rows: () => (isTty ? stdout.rows || 24 : Number.POSITIVE_INFINITY),
    write: (text) => void stdout.write(text),
    complain: (line) => void stderr.write(`${plainText(line)}\n`),
    onResize: (listener) => {
      stdout.on("resize", listener);
      return () => stdout.off("resize", listener);
    },
    onGone: (listener) => {
      stdout.on("error", listener);
      return () => stdout.off("error", listener);
    },
  };
}

export type Color = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

const SGR: Readonly<Record<Color, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 };

/** The text in a colour. */
export function colored(text: string, color: Color): string {
  return `\x1b[${SGR[color]}m${text}\x1b[0m`;
}
