import type { Exchange } from "../exchange.js";
import type { Node } from "../node.js";
import type { Eligible, Policy } from "./policy.js";
import { WeightedDraw } from "./weighted-draw.js";

export interface RandomChoiceOptions {
  /** A number in [0, 1). */
  readonly random: () => number;
}

/** Any eligible node, with a probability in the ratio of its weight to that of all eligible ones. Remembers nothing. */
export function randomChoice({ random }: RandomChoiceOptions): Policy {
  const draw = new WeightedDraw(random);
  return {
    update: (nodes) => draw.update(nodes),
    pick(exchange: Exchange, eligible: Eligible): Node | undefined {
      const position = draw.draw(exchange, eligible, -1);
      return position < 0 ? undefined : draw.nodes[position];
    },
  };
}
