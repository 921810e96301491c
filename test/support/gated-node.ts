import type { ServerResponse } from "node:http";
import type { TestContext } from "node:test";
import { ByteLog } from "./byte-log.js";
import { type FunctionNode, type FunctionNodeOptions, startFunctionNode } from "./function-node.js";

/** A call that its node has read and not answered yet. */
export interface GatedCall {
  readonly target: string;
  readonly bodyBytes: number;
  readonly bodyHash: string;
  /** Says who answers, in the body and in `x-node`. */
  answer(status?: number): void;
}

/** A node that keeps each call until the test lets it go. */
export interface GatedNode extends FunctionNode {
  /** Calls that were not answered yet, and whose balancer has not gone away, in the order of their coming. */
  readonly held: readonly GatedCall[];
  /** The next call that was not given out yet, as soon as it is there. */
  next(): Promise<GatedCall>;
}

export async function startGatedNode(
  t: TestContext,
  name = "gated",
  options: Omit<FunctionNodeOptions, "name" | "answer"> = {},
): Promise<GatedNode> {
  const held: GatedCall[] = [];
  const arrived: GatedCall[] = [];
  const arrivals = new ByteLog();
  const keep = (response: ServerResponse, call: Omit<GatedCall, "answer">) => {
    const gated: GatedCall = {
      ...call,
      answer(status = 200) {
        response.statusCode = status;
        response.setHeader("x-node", name);
        response.end(name);
      },
    };
    held.push(gated);
    response.on("close", () => held.splice(held.indexOf(gated), 1));
    arrived.push(gated);
    arrivals.wake();
  };
  const node = await startFunctionNode(t, {
    ...options,
    name,
    answer: (_request, response, { target, bodyBytes, bodyHash }) => keep(response, { target, bodyBytes, bodyHash }),
  });
  return Object.assign(Object.create(node) as FunctionNode, {
    held,
    next: () => arrivals.until(`a call of ${name}`, () => arrived.shift()),
  });
}
