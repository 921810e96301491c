import { EXIT } from "../../exit.js";
import type { Terminal } from "./terminal.js";

/** Prints what the admin API said, exactly; resolves to the exit code. */
export function printJson(terminal: Terminal, text: string): number {
  terminal.write(text.endsWith("\n") ? text : `${text}\n`);
  return EXIT.CLEAN;
}
