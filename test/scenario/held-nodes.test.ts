import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readDiscovery } from "../../src/config/discovery.js";
import { localNode, oneCluster, startBalancer } from "../support/balancer.js";
import { makeDirectory } from "../support/program.js";

describe("nodes that a cluster holds until a new source has answered", () => {
  const idsOf = (balancer: { snapshot(): { readonly nodes: readonly { readonly id: string }[] } }) =>
    balancer.snapshot().nodes.map(({ id }) => id);

  for (const allowsEmpty of [true, false]) {
    it(`${allowsEmpty ? "go" : "stay"} when that answers that there are none${allowsEmpty ? ", where it may" : ""}`, async (t) => {
      const path = join(makeDirectory(t), "nodes");
      writeFileSync(path, "");
      const { balancer, config, until } = await startBalancer(t, { nodes: [1, 2] });
      const discover = readDiscovery({ texts: [`file:${path}`], source: "test" });
      const listed = [localNode(3)];
      const next = { discover, discoverIntervalMinMs: 100, discoverAllowsEmpty: allowsEmpty, nodes: listed };
      await balancer.reload(oneCluster({ ...config, ...next }));
      await until("two answers", ({ counters }) => counters.discoveries >= 2);
      assert.deepEqual(idsOf(balancer), allowsEmpty ? ["127.0.0.1:3"] : ["127.0.0.1:3", "127.0.0.1:1", "127.0.0.1:2"]);
    });
  }
});
