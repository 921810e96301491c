import { EXIT } from "../../exit.js";
import { UsageError } from "../../usage-error.js";
import { askStatus } from "../answers.js";
import type { CommandContext } from "../command.js";
import { printJson } from "../display/print-json.js";
import { CLUSTER_COLUMNS, headLines, LISTENER_COLUMNS, troubleLines } from "../display/status-columns.js";
import { tableLines } from "../display/table.js";
import { cutText } from "../display/text-width.js";
import { watch } from "./watch.js";

/** `fnlb status`: how the balancer, its listeners and its clusters are, once or again and again. */
export async function status(context: CommandContext): Promise<number> {
  const { admin, terminal, call } = context;
  if (call.isSet("watch")) return watch(context);
  if (call.text("interval") !== undefined) throw new UsageError("--interval says nothing without --watch");
  const { text, status } = await askStatus(admin);
  if (call.isSet("json")) return printJson(terminal, text);
  const look = { width: terminal.columns(), hasColor: terminal.hasColor };
  const lines = [
    ...headLines(status).map((line) => cutText(line, look.width)),
    "",
    ...tableLines(LISTENER_COLUMNS, status.listeners, look),
    "",
    ...tableLines(CLUSTER_COLUMNS, status.clusters, look),
    ...troubleLines(status.clusters),
  ];
  terminal.write(`${lines.join("\n")}\n`);
  return EXIT.CLEAN;
}
