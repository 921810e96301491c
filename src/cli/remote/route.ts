import { EXIT } from "../exit.js";
import { UsageError } from "../usage-error.js";
import type { CommandContext } from "./command.js";
import { printExplanation } from "./explanation.js";
import { printJson } from "./print-json.js";
import type { Explanation } from "../../core/operations.js";

/** `fnlb route URL`: where a request would go now, and where it would fall back to. */
export async function route({ admin, terminal, call }: CommandContext): Promise<number> {
  const [url] = call.items;
  const query = new URLSearchParams({ url });
  const [method, client] = [call.text("method"), call.text("client")];
  if (method !== undefined) query.set("method", method);
  for (const header of call.texts("header")) {
    if (!/^[^:\s]+:/.test(header)) throw new UsageError(`--header ${JSON.stringify(header)} is not "Name: value"`);
    query.append("header", header);
  }
  if (client !== undefined) query.set("client", client);
  const { text, value } = await admin.ask({ purpose: `explain ${url}`, path: `/v1/explain?${query}` });
  if (call.isSet("json")) return printJson(terminal, text);
  // The API answers with what `Operations.explain` gives.
  printExplanation(terminal, { method: method ?? "GET", url }, value as unknown as Explanation);
  return EXIT.CLEAN;
}
