import { EXIT } from "../exit.js";
import { Failure } from "./display/failure.js";
import type { Terminal } from "./display/terminal.js";

/**
 * Does one thing to each item in turn; one that fails is complained about and keeps nothing from the others. Resolves to the
 * exit code.
 */
export async function eachItem<Item>(
  items: readonly Item[],
  terminal: Terminal,
  run: (item: Item) => Promise<void>,
): Promise<number> {
  let code: number = EXIT.CLEAN;
  for (const item of items) {
    try {
      await run(item);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      terminal.complain(error.message);
      code = EXIT.FAILED;
    }
  }
  return code;
}
