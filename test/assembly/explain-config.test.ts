import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { explainConfig } from "../../src/assembly/explain-config.js";
import { parseConfigFile } from "../../src/config/config-file.js";
import { resolveConfig } from "../../src/config/resolve.js";
import { hashCodec } from "../../src/core/affinity/hash-codec.js";
import { createNode } from "../../src/core/node.js";

function configOf(text: string) {
  return resolveConfig({ file: parseConfigFile(text, "fnlb.yaml") });
}

const TWO = configOf(`
clusters:
  api: { nodes: [10.0.0.1:80, 10.0.0.2:80=3, 10.0.0.3:80=0] }
  turns: { nodes: [10.0.0.1:80, 10.0.0.2:80], policy: weighted-round-robin, sticky-header: x-stay, sticky-codec: hash }
routes:
  - { name: api, host: api.example, path: /v1, redirect-slash: true, cluster: api }
  - { name: turns, path: /turns, cluster: turns }
`);

describe("what a config says of a request", () => {
  it("is route, cluster, key and the order of its nodes, as if all were well", () => {
    const { order, keyHash, ...rest } = explainConfig(TWO, { url: "http://api.example/v1/x" });
    assert.equal(typeof keyHash, "number");
    assert.deepEqual(rest, {
      source: "config",
      route: "api",
      cluster: "api",
      policy: "ring-hash",
      key: "/v1/x",
      isFixed: true,
      node: order[0].id,
      notes: [],
    });
    assert.deepEqual(
      order.map(({ attempt }) => attempt),
      [1, 2, undefined],
    );
    assert.deepEqual(order[2], {
      id: "10.0.0.3:80",
      states: ["no-weight"],
      isEligible: false,
      reasons: ["no-weight"],
    });
  });

  it("is a redirect, or that no route takes it", () => {
    const { redirect } = explainConfig(TWO, { url: "http://api.example/v1?q" });
    assert.deepEqual(redirect, { status: 308, location: "/v1/?q" });
    assert.equal(explainConfig(TWO, { url: "/other" }).problem?.code, "ERR_NO_ROUTE");
  });

  it("is no node where turns decide, but for a client that stays on its own", () => {
    const turns = explainConfig(TWO, { url: "/turns" });
    assert.deepEqual([turns.isFixed, turns.node, turns.order.length], [false, undefined, 2]);
    const address = { kind: "tcp", host: "10.0.0.2", port: 80, basePath: "" } as const;
    const value = hashCodec().encode(createNode("10.0.0.2:80", 1, address, 1));
    const stays = explainConfig(TWO, { url: "/turns", headers: [["X-Stay", value]] });
    assert.deepEqual(stays.sticky, { by: "header", node: "10.0.0.2:80" });
    assert.deepEqual([stays.isFixed, stays.node], [true, "10.0.0.2:80"]);
  });

  it("is nothing certain where other nodes may be discovered, or edited by operators, and it says so", () => {
    const discovered = configOf("clusters:\n  api: { nodes: [10.0.0.1:80], discover: dns:nodes.example:80 }\n");
    const edited = configOf("nodes: [10.0.0.1:80]\nstore: redis://127.0.0.1/\n");
    for (const config of [discovered, edited]) {
      const { node, order, notes, problem } = explainConfig(config, { url: "/x" });
      assert.deepEqual([node, problem, notes.length], [undefined, undefined, 1]);
      assert.deepEqual(
        order.map(({ id, attempt }) => [id, attempt]),
        [["10.0.0.1:80", undefined]],
      );
    }
    const nobody = configOf("clusters:\n  api: { discover: dns:nodes.example:80 }\n");
    const { problem, notes } = explainConfig(nobody, { url: "/x" });
    assert.equal(problem, undefined);
    assert.match(notes[0], /nodes\.example/);
  });

  it("is that a key is shared where it is", () => {
    const config = configOf("nodes: [10.0.0.1:80, 10.0.0.2:80]\nspread: 2\n");
    assert.match(explainConfig(config, { url: "/x" }).notes[0], /first 2 nodes/);
  });

  it("is the same each time", () => {
    for (const sketch of [{ url: "http://api.example/v1/x" }, { url: "/turns" }]) {
      assert.deepEqual(explainConfig(TWO, sketch), explainConfig(TWO, sketch));
    }
  });
});
