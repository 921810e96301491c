import type { TestContext } from "node:test";
import { type FunctionNode, startFunctionNode } from "./function-node.js";

/** A node that answers every call with the status of the moment, and with its name as body. */
export interface MoodyNode extends FunctionNode {
  status: number;
}

export async function startMoodyNode(t: TestContext, name: string, status = 200): Promise<MoodyNode> {
  const mood = { status };
  const node = await startFunctionNode(t, {
    name,
    answer(_request, response) {
      response.statusCode = mood.status;
      response.end(name);
    },
  });
  return Object.defineProperty(Object.create(node) as MoodyNode, "status", {
    get: () => mood.status,
    set: (next: number) => {
      mood.status = next;
    },
  });
}

/** Several, called `a`, `b`, `c`, … */
export function startMoodyNodes(t: TestContext, count: number): Promise<MoodyNode[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => startMoodyNode(t, String.fromCharCode(97 + index))));
}
