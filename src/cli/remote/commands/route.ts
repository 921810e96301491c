import type { Explanation, RequestSketch } from "../../../core/operations.js";
import { EXIT } from "../../exit.js";
import { loadConfig } from "../../load-config.js";
import { UsageError } from "../../usage-error.js";
import type { CommandContext } from "../command.js";
import { printExplanation } from "../display/explanation.js";
import { Failure } from "../display/failure.js";
import { printJson } from "../display/print-json.js";

/**
 * `fnlb route URL`: where a request would go, and where it would fall back to. Live, or by a config file or a list of nodes
 * that somebody thinks of using.
 */
export async function route(context: CommandContext): Promise<number> {
  const { terminal, call } = context;
  const request = readRequest(context);
  const isOffline = call.text("config") !== undefined || call.text("nodes") !== undefined;
  const { text, explanation } = isOffline
    ? await explainOffline(context, request)
    : await explainLive(context, request);
  if (call.isSet("json")) return printJson(terminal, text);
  printExplanation(terminal, request, explanation);
  return EXIT.CLEAN;
}

interface Told {
  /** As JSON. */
  readonly text: string;
  readonly explanation: Explanation;
}

async function explainLive({ admin, call }: CommandContext, { url, method, client }: RequestSketch): Promise<Told> {
  const query = new URLSearchParams({ url });
  if (method !== undefined) query.set("method", method);
  for (const header of call.texts("header")) query.append("header", header);
  if (client !== undefined) query.set("client", client);
  const { text, value } = await admin.ask({ purpose: `explain ${url}`, path: `/v1/explain?${query}` });
  // The API answers with what `Operations.explain` gives.
  return { text, explanation: value as unknown as Explanation };
}

async function explainOffline({ call, env }: CommandContext, request: RequestSketch): Promise<Told> {
  for (const name of ["server", "admin", "admin-token", "ca", "cert", "key"] as const) {
    if (call.text(name) !== undefined)
      throw new UsageError(`--${name} says nothing with --config or --nodes, which ask nobody`);
  }
  const nodes = call.text("nodes");
  const path = call.text("config") ?? "";
  const { config } = loadConfig({ options: nodes === undefined ? {} : { nodes }, env, path });
  // What serves requests is loaded only for who has no balancer to ask.
  const { explainConfig } = await import("../../../assembly/explain-config.js");
  const explanation = explainConfig(config, request);
  const { problem } = explanation;
  // As the admin API refuses it.
  if (problem?.field !== undefined)
    throw new Failure(`could not explain ${request.url}: ${problem.code}: ${problem.detail}`);
  return { text: JSON.stringify(explanation), explanation };
}

function readRequest({ call }: CommandContext): RequestSketch {
  const [url] = call.items;
  const [method, client] = [call.text("method"), call.text("client")];
  const headers = call.texts("header").map((text): readonly [string, string] => {
    const match = /^([^:\s]+):(.*)$/s.exec(text);
    if (match === null) throw new UsageError(`--header must be "Name: value", got ${JSON.stringify(text)}`);
    return [match[1], match[2].trim()];
  });
  return { url, headers, ...(method === undefined ? {} : { method }), ...(client === undefined ? {} : { client }) };
}
