import { parseListenAddress } from "../../../config/listen-address.js";
import { EXIT } from "../../exit.js";
import { askListeners } from "../answers.js";
import type { CommandContext } from "../command.js";
import { printJson } from "../display/print-json.js";
import { LISTENER_COLUMNS } from "../display/status-columns.js";
import { tableLines } from "../display/table.js";
import { plainText } from "../display/text-width.js";
import { eachItem } from "../each-item.js";

/** `fnlb listeners`: where clients connect. */
export async function listeners({ admin, terminal, call }: CommandContext): Promise<number> {
  const { text, listeners } = await askListeners(admin);
  if (call.isSet("json")) return printJson(terminal, text);
  const look = { width: terminal.columns(), hasColor: terminal.hasColor };
  terminal.write(`${tableLines(LISTENER_COLUMNS, listeners, look).join("\n")}\n`);
  return EXIT.CLEAN;
}

/** `fnlb listeners pause`: new connections and requests there get 503. */
export const pauseListeners = (context: CommandContext) => setStates(context, "paused");

/** `fnlb listeners resume`: takes that back. */
export const resumeListeners = (context: CommandContext) => setStates(context, "open");

function setStates({ admin, terminal, call }: CommandContext, state: "open" | "paused"): Promise<number> {
  return eachItem(call.items, terminal, async (item) => {
    const id = listenerId(item);
    const { text, value } = await admin.ask({
      purpose: `${state === "open" ? "resume" : "pause"} listener ${item}`,
      method: "PATCH",
      path: `/v1/listeners/${encodeURIComponent(id)}`,
      body: { state },
    });
    if (call.isSet("json")) printJson(terminal, text);
    else terminal.write(`${plainText(id)}: ${state}${value.result === "unchanged" ? " already" : ""}\n`);
  });
}

/** `:8081` is `0.0.0.0:8081`, as for the balancer. */
function listenerId(text: string): string {
  const address = parseListenAddress(text);
  if (address?.kind !== "tcp") return text;
  return `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}
