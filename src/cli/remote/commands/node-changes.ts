import { UsageError } from "../../usage-error.js";
import type { AdminRequest } from "../admin-client.js";
import { nodePath } from "../answers.js";
import type { CommandContext } from "../command.js";
import { plainText } from "../display/text-width.js";
import { eachItem } from "../each-item.js";
import { ClusterFinder, type TypedNode, typedNode } from "../node-place.js";

/** A node and its cluster. */
export interface NodePlace {
  readonly cluster: string;
  readonly id: string;
}

/** What a command says about one node. */
export interface NodeEdit {
  /** As in "could not …": `drain node`. */
  readonly verb: string;
  readonly method: AdminRequest["method"];
  /** Behind the path of the node, "" for none. */
  readonly action?: string;
  readonly body?: unknown;
  /** What is said when it is done: `draining`. */
  readonly outcome: string;
  /** What is said when it was so already; default: `draining already`. */
  readonly unchanged?: string;
}

/** `fnlb nodes add`: whoever says it again, as scripts do, hears that it is so already. */
export function addNodes(context: CommandContext): Promise<number> {
  const { admin, terminal, call } = context;
  const finder = new ClusterFinder(admin, call.text("cluster"));
  const mode = call.text("mode");
  const added = call.items.map(typedNode).map(({ id, weight }) => ({
    id,
    body: {
      ...(weight === undefined ? {} : { weight: numberOf({ id, weight }) }),
      ...(mode === undefined ? {} : { mode }),
    },
  }));
  return eachItem(added, terminal, async ({ id, body }) => {
    const cluster = await finder.forNew();
    const { status, text, value } = await admin.ask({
      purpose: `add node ${id} to cluster ${cluster}`,
      method: "PUT",
      path: nodePath(cluster, id),
      body,
    });
    const isNew = status === 201;
    const outcome = isNew ? "added to" : value.result === "unchanged" ? "there already in" : "changed in";
    say(context, text, `${id}: ${outcome} cluster ${cluster}`);
  });
}

/** `fnlb nodes enable`: active again, whatever was said before. */
export const enableNodes = (context: CommandContext) => changeNodes(context, () => modeEdit("enable node", "active"));

/** `fnlb nodes disable`: nothing new, its sessions included. */
export const disableNodes = (context: CommandContext) =>
  changeNodes(context, () => modeEdit("disable node", "disabled"));

/** `fnlb nodes weight`. */
export const weighNodes = (context: CommandContext) =>
  changeNodes(
    context,
    ({ id, weight }) => {
      if (weight === undefined)
        throw new UsageError(`node ${id} has no weight: say NODE=WEIGHT, or NODE=config for what the config says`);
      return {
        verb: "change the weight of node",
        method: "PATCH",
        body: { weight: weight === "config" ? null : numberOf({ id, weight }) },
        outcome: weight === "config" ? "weight as in the config" : `weight ${weight}`,
      };
    },
    { takesWeight: true },
  );

/** `fnlb nodes reset`: closes the breaker, takes ejection and suspicion back. */
export const resetNodes = (context: CommandContext) =>
  changeNodes(context, () => ({
    verb: "reset node",
    method: "POST",
    action: "/reset",
    outcome: "reset",
    unchanged: "nothing to reset",
  }));

/** `fnlb nodes mark-alive`: the next request dials it, without waiting for a ping. */
export const markNodesAlive = (context: CommandContext) =>
  changeNodes(context, () => ({
    verb: "mark alive node",
    method: "POST",
    action: "/mark-alive",
    outcome: "alive",
  }));

/** `fnlb nodes forget`: takes back what operators have said. */
export const forgetNodes = (context: CommandContext) =>
  changeNodes(
    context,
    () => ({
      verb: "forget what was said about node",
      method: "POST",
      action: "/forget",
      outcome: "as config and discovery say",
    }),
    { clusterOf: (finder, id) => finder.ofEdits(id) },
  );

/** Of `drain`, too. */
export function modeEdit(verb: string, mode: "active" | "draining" | "disabled"): NodeEdit {
  return { verb, method: "PATCH", body: { mode }, outcome: mode };
}

/** Of `remove`, with or without a drain before it. */
export const REMOVAL: NodeEdit = { verb: "remove node", method: "DELETE", outcome: "removed" };

interface ChangeOptions {
  readonly takesWeight?: boolean;
  /** Default: where the node is. */
  readonly clusterOf?: (finder: ClusterFinder, id: string) => Promise<string>;
}

/** Says the same about each node of the command line, one after the other; resolves to the exit code. */
function changeNodes(
  context: CommandContext,
  editOf: (node: TypedNode) => NodeEdit,
  { takesWeight = false, clusterOf = (finder, id) => finder.ofNode(id) }: ChangeOptions = {},
): Promise<number> {
  const finder = new ClusterFinder(context.admin, context.call.text("cluster"));
  const edits = typedNodes(context.call.items, takesWeight).map((node) => ({ id: node.id, edit: editOf(node) }));
  return eachItem(edits, context.terminal, async ({ id, edit }) => {
    await changeNode(context, { cluster: await clusterOf(finder, id), id }, edit);
  });
}

/** Before anything is asked: a mistake in the last item must not leave the first ones changed. */
export function typedNodes(items: readonly string[], takesWeight = false): readonly TypedNode[] {
  return items.map((item) => {
    const node = typedNode(item);
    if (!takesWeight && node.weight !== undefined) throw new UsageError(`${item}: a weight says nothing here`);
    return node;
  });
}

/** Changes one node and says so. */
export async function changeNode(
  context: CommandContext,
  { cluster, id }: NodePlace,
  { verb, method = "PATCH", action = "", body, outcome, unchanged = `${outcome} already` }: NodeEdit,
): Promise<void> {
  const { text, value } = await context.admin.ask({
    purpose: `${verb} ${id} of cluster ${cluster}`,
    method,
    path: `${nodePath(cluster, id)}${action}`,
    ...(body === undefined ? {} : { body }),
  });
  say(context, text, `${id}: ${value.result === "unchanged" ? unchanged : outcome}`);
}

/** For machines what the API says, for people a line. */
function say({ terminal, call }: CommandContext, text: string, line: string): void {
  terminal.write(call.isSet("json") ? `${text.trimEnd()}\n` : `${plainText(line)}\n`);
}

/** The server judges its range. */
function numberOf({ id, weight }: { readonly id: string; readonly weight: string }): number {
  if (!/^\d+(?:\.\d+)?$/.test(weight))
    throw new UsageError(`the weight of node ${id} must be a number such as 0.5 or 2, got ${JSON.stringify(weight)}`);
  return Number(weight);
}
