import { EXIT } from "../../exit.js";
import type { CommandContext } from "../command.js";
import { printJson } from "../display/print-json.js";
import { plainText } from "../display/text-width.js";

/** `fnlb log-level`: which events are logged, or from now on. */
export async function logLevel({ admin, terminal, call }: CommandContext): Promise<number> {
  const path = "/v1/log-level";
  const [level] = call.items;
  const { text, value } = await admin.ask(
    level === undefined
      ? { purpose: "get the log level", path }
      : { purpose: `set the log level to ${level}`, method: "PUT", path, body: { level } },
  );
  if (call.isSet("json")) return printJson(terminal, text);
  const already = value.result === "unchanged" ? " already" : "";
  terminal.write(`${plainText(String(value.level))}${already}\n`);
  return EXIT.CLEAN;
}
