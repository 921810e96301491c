import { EXIT } from "../exit.js";
import { UsageError } from "../usage-error.js";
import type { Command, CommandContext } from "./command.js";
export const SHELLS = ["bash", "zsh", "fish"] as const;
export async function completion({ terminal, call }: CommandContext, commands: readonly Command[]): Promise<number> {
  void terminal;
  void commands;
  void EXIT;
  throw new UsageError(`${call.items}`);
}
