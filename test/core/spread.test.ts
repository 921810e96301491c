import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FREE_IN_FLIGHT } from "../../src/core/policies/bounded-load.js";
import { maglev } from "../../src/core/policies/maglev.js";
import { rendezvous } from "../../src/core/policies/rendezvous.js";
import { ringHash } from "../../src/core/policies/ring-hash.js";
import { addresses, exchangeOf, nodesOf, untried } from "./small-cluster.js";

const ANYBODY = () => true;

for (const [name, factory] of Object.entries({ ringHash, maglev, rendezvous })) {
  describe(`spread, ${name}`, () => {
    const clusterOf = (options: { spread?: number; balanceFactor?: number }, weight = 1) => {
      const nodes = nodesOf(addresses(6), weight);
      const policy = factory(options);
      policy.update(nodes);
      const exchange = exchangeOf("/f/hot");
      const order = nodes.map(() => {
        const node = policy.pick(exchange, untried)!;
        exchange.tried.add(node.index);
        return node;
      });
      return { policy, order };
    };

    it("keeps a key on one node until that is busy", () => {
      const { policy, order } = clusterOf({ spread: 3 });
      for (let pick = 0; pick < FREE_IN_FLIGHT; pick++) {
        const node = policy.pick(exchangeOf("/f/hot"), ANYBODY)!;
        assert.equal(node, order[0]);
        node.inFlight++;
      }
      assert.equal(policy.pick(exchangeOf("/f/hot"), ANYBODY), order[1]);
    });

    it("shares a hot key among its first nodes, and no others", () => {
      const { policy, order } = clusterOf({ spread: 3, balanceFactor: 0 });
      for (let pick = 0; pick < 300; pick++) policy.pick(exchangeOf("/f/hot"), ANYBODY)!.inFlight++;
      assert.deepEqual(
        order.map((node) => node.inFlight),
        [100, 100, 100, 0, 0, 0],
      );
    });

    it("overflows when all who share it are at their caps", () => {
      const { policy, order } = clusterOf({ spread: 2, balanceFactor: 1 });
      for (let pick = 0; pick < 60; pick++) policy.pick(exchangeOf("/f/hot"), ANYBODY)!.inFlight++;
      assert.deepEqual(
        order.map((node) => node.inFlight),
        [10, 10, 10, 10, 10, 10],
      );
    });

    it("shares it with the next node when one of its nodes is dead", () => {
      const { policy, order } = clusterOf({ spread: 2, balanceFactor: 0 });
      for (let pick = 0; pick < 100; pick++) {
        policy.pick(exchangeOf("/f/hot"), (node) => node !== order[1])!.inFlight++;
      }
      assert.deepEqual(
        order.map((node) => node.inFlight),
        [50, 0, 50, 0, 0, 0],
      );
    });

    it("comes home when the load is gone", () => {
      const { policy, order } = clusterOf({ spread: 3 });
      for (let pick = 0; pick < 60; pick++) policy.pick(exchangeOf("/f/hot"), ANYBODY)!.inFlight++;
      for (const node of order) node.inFlight = 0;
      assert.equal(policy.pick(exchangeOf("/f/hot"), ANYBODY), order[0]);
    });

    it("is off by default", () => {
      const { policy, order } = clusterOf({ balanceFactor: 0 });
      for (let pick = 0; pick < 100; pick++) policy.pick(exchangeOf("/f/hot"), ANYBODY)!.inFlight++;
      assert.equal(order[0].inFlight, 100);
    });

    it("refuses a spread below one node", () => {
      for (const spread of [0, -1, Number.NaN, 1e6]) {
        assert.throws(() => factory({ spread }), { code: "ERR_OPTION", message: /"spread"/ });
      }
    });
  });
}
