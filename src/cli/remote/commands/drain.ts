import { badOption, parseDuration } from "../../../config/units.js";
import { UsageError } from "../../usage-error.js";
import { Refusal } from "../admin-client.js";
import { type NodeAnswer, nodePath } from "../answers.js";
import type { CommandContext } from "../command.js";
import { Failure } from "../display/failure.js";
import { counted } from "../display/figures.js";
import { Progress } from "../display/progress.js";
import { plainText } from "../display/text-width.js";
import { eachItem } from "../each-item.js";
import { ClusterFinder } from "../node-place.js";
import { changeNode, modeEdit, type NodePlace, REMOVAL, typedNodes } from "./node-changes.js";

const POLL_MS = 250;

/** `fnlb nodes drain`: no new keys there, and it returns when what runs there is done. */
export async function drainNodes(context: CommandContext): Promise<number> {
  const { call } = context;
  const waits = !call.isSet("no-wait");
  if (!waits && call.text("timeout") !== undefined) throw new UsageError("--timeout says nothing with --no-wait");
  return drainEach(context, { waits, onDrained: async () => {} });
}

/** `fnlb nodes remove`, at once or behind a drain. What runs at a removed node goes on in any case. */
export async function removeNodes(context: CommandContext): Promise<number> {
  const { call, terminal, admin } = context;
  const remove = (node: NodePlace) => changeNode(context, node, REMOVAL);
  if (call.isSet("drain")) return drainEach(context, { waits: true, onDrained: remove });
  if (call.text("timeout") !== undefined) throw new UsageError("--timeout says nothing without --drain");
  const finder = new ClusterFinder(admin, call.text("cluster"));
  return eachItem(typedNodes(call.items), terminal, async ({ id }) => remove({ cluster: await finder.ofNode(id), id }));
}

interface DrainOptions {
  readonly waits: boolean;
  readonly onDrained: (node: NodePlace) => Promise<void>;
}

/** All are told before any is waited for. */
async function drainEach(context: CommandContext, { waits, onDrained }: DrainOptions): Promise<number> {
  const { admin, terminal, call } = context;
  const deadline = deadlineOf(call.text("timeout"));
  const finder = new ClusterFinder(admin, call.text("cluster"));
  const draining: NodePlace[] = [];
  const told = await eachItem(typedNodes(call.items), terminal, async ({ id }) => {
    const node = { cluster: await finder.ofNode(id), id };
    await changeNode(context, node, modeEdit("drain node", "draining"));
    draining.push(node);
  });
  if (!waits) return told;
  const ends = { deadline, interruption: context.untilSignal() };
  const drained = await eachItem(draining, terminal, async (node) => {
    await untilDrained(context, node, ends);
    await onDrained(node);
  });
  return Math.max(told, drained);
}

/** What ends a wait before the node is empty. */
interface WaitEnds {
  readonly deadline: AbortSignal | undefined;
  /** Somebody wants his terminal back; whoever believed that this takes the drain back would find a node without traffic. */
  readonly interruption: AbortSignal;
}

/** Resolves when nothing runs at the node; rejects with a `Failure` that says what is left when the wait ends before. */
async function untilDrained(
  context: CommandContext,
  node: NodePlace,
  { deadline, interruption }: WaitEnds,
): Promise<void> {
  const { terminal, call, pause } = context;
  const progress = new Progress(terminal, call.isSet("json"));
  const end = deadline === undefined ? interruption : AbortSignal.any([deadline, interruption]);
  let left: number | undefined;
  try {
    left = await inFlightAt(context, node, interruption);
    while (left > 0) {
      progress.show(`${node.id}: draining, ${left} in flight`);
      if (!(await pause(POLL_MS, end)) && !interruption.aborted) {
        throw new Failure(
          `could not drain node ${node.id} in time: ${counted(left, "exchange")} in flight, and it goes on draining`,
        );
      }
      left = await inFlightAt(context, node, interruption);
    }
  } catch (error) {
    if (!interruption.aborted) throw error;
    const rest = left === undefined ? "it" : `${counted(left, "exchange")} in flight, and it`;
    throw new Failure(`no longer waiting for node ${node.id}: ${rest} goes on draining`, { cause: error });
  } finally {
    progress.end();
  }
  if (!call.isSet("json")) terminal.write(`${plainText(node.id)}: drained\n`);
}

/** Exchanges and tunnels. */
async function inFlightAt({ admin }: CommandContext, { cluster, id }: NodePlace, signal: AbortSignal): Promise<number> {
  try {
    const { value } = await admin.ask({ purpose: `see what runs at node ${id}`, path: nodePath(cluster, id) }, signal);
    return (value as unknown as NodeAnswer).inFlight;
  } catch (error) {
    // Somebody has removed it meanwhile: there is nothing left to wait for.
    if (error instanceof Refusal && error.status === 404) return 0;
    throw error;
  }
}

function deadlineOf(text: string | undefined): AbortSignal | undefined {
  if (text === undefined) return undefined;
  const timeoutMs = parseDuration(text);
  if (timeoutMs === undefined)
    throw badOption('option "timeout"', "a time up to 24 days such as 250ms, 5s or 1h", text);
  return AbortSignal.timeout(timeoutMs);
}
