import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import { askAdmin, codeOf } from "../support/admin-client.js";
import { DEFAULTS, localNode, oneCluster, startBalancer } from "../support/balancer.js";
import { runCommand } from "../support/commands.js";
import { makeDirectory, runProgram } from "../support/program.js";
import { startRedis, WITHOUT_REDIS } from "../support/redis-server.js";

const ADMIN = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
const NODES = "/v1/clusters/default/nodes";
const EDITS = "/v1/clusters/default/edits";
const [ONE, TWO, NEW] = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"];

const pathOf = (id: string) => `${NODES}/${encodeURIComponent(id)}`;

/** A balancer in front of two nodes that nobody asks, and an operator. */
async function start(t: TestContext) {
  const started = await startBalancer(t, { nodes: [1, 2], admin: ADMIN });
  const ask = async (method: string, path: string, body?: unknown) => {
    const answer = await askAdmin(started.balancer.adminAddress, path, { method, body });
    return { status: answer.status, code: codeOf(answer), body: answer.json as Record<string, unknown> };
  };
  const forget = (id: string) => ask("POST", `${pathOf(id)}/forget`);
  const nodes = () => started.balancer.snapshot().nodes.map(({ id, weight, mode }) => [id, weight, mode]);
  return { ...started, ask, forget, nodes };
}

describe("what operators have said about nodes", () => {
  it("can be seen, and taken back node by node", async (t) => {
    const { ask, forget, nodes, balancer, config } = await start(t);
    assert.deepEqual((await ask("GET", EDITS)).body, { cluster: "default", version: "", edits: [] });
    await ask("PATCH", pathOf(TWO), { weight: 3, mode: "draining" });
    await ask("DELETE", pathOf(ONE));
    await ask("POST", NODES, { node: NEW, mode: "disabled" });
    const { version, edits } = (await ask("GET", EDITS)).body;
    assert.notEqual(version, "");
    assert.deepEqual(edits, [
      { node: ONE, presence: "removed" },
      { node: TWO, weight: 3, mode: "draining" },
      { node: NEW, presence: "added", mode: "disabled" },
    ]);
    // A reload that names the node does not bring it back: this is what forgetting is for.
    await balancer.reload(oneCluster({ ...DEFAULTS, ...config, nodes: [localNode(1), localNode(2)] }));
    assert.deepEqual(nodes(), [
      [TWO, 3, "draining"],
      [NEW, 1, "disabled"],
    ]);

    const back = await forget(ONE);
    assert.deepEqual(
      [back.status, back.body.result, (back.body.node as { readonly id: string }).id],
      [200, "applied", ONE],
    );
    assert.equal((await forget(TWO)).body.result, "applied");
    const gone = await forget(NEW);
    assert.deepEqual([gone.body.result, gone.body.node], ["applied", undefined]);
    assert.deepEqual(nodes(), [
      [ONE, 1, "active"],
      [TWO, 1, "active"],
    ]);
    assert.deepEqual((await ask("GET", EDITS)).body.edits, []);
  });

  it("is unchanged where nothing was said, and 404 where nothing is known", async (t) => {
    const { ask, forget } = await start(t);
    assert.equal((await forget(ONE)).body.result, "unchanged");
    await ask("POST", NODES, { node: NEW });
    assert.equal((await forget(NEW)).body.result, "applied");
    for (const refused of [await forget(NEW), await ask("GET", "/v1/clusters/other/edits")]) {
      assert.deepEqual([refused.status, refused.code], [404, "ERR_NOT_FOUND"]);
    }
  });

  it("is taken back even if it was what the config says", async (t) => {
    const { ask, forget } = await start(t);
    await ask("PUT", pathOf(ONE), { weight: 1 });
    assert.deepEqual((await ask("GET", EDITS)).body.edits, [{ node: ONE, presence: "added", weight: 1 }]);
    assert.equal((await forget(ONE)).body.result, "applied");
    assert.equal((await forget(ONE)).body.result, "unchanged");
  });

  it("stands in the audit log when it is taken back", async (t) => {
    const { ask, forget, event } = await start(t);
    await ask("DELETE", pathOf(ONE));
    await event("admin_change");
    await forget(ONE);
    const { action, node, result } = await event("admin_change");
    assert.deepEqual([action, node, result], ["forgetNode", ONE, "applied"]);
  });

  it("is shown and forgotten on the command line, in the cluster where it was said", async (t) => {
    const admin = `unix:${makeDirectory(t)}/admin.sock`;
    const file = `${makeDirectory(t)}/fnlb.yaml`;
    writeFileSync(
      file,
      "clusters: { api: { nodes: ['127.0.0.1:1'] }, site: { nodes: ['127.0.0.1:1', '127.0.0.1:2'] } }\n" +
        "routes: [{ path: /api, cluster: api }, { cluster: site }]\n",
    );
    const program = runProgram(t, ["--config", file, "--listen", "127.0.0.1:0", "--admin", admin]);
    await program.port();
    const run = (...args: readonly string[]) => runCommand([...args, "--admin", admin]);
    await run("nodes", "remove", TWO);
    await run("nodes", "weight", `${ONE}=2`, "--cluster", "api");
    const shown = await run("nodes", "--edits");
    assert.equal(
      shown.stdout,
      [
        "CLUSTER  NODE         PRESENCE  WEIGHT  MODE",
        "api      127.0.0.1:1  -              2  -",
        "site     127.0.0.1:2  removed        -  -",
        "",
      ].join("\n"),
    );
    const documents = (await run("nodes", "--edits", "--json")).stdout.trimEnd().split("\n");
    assert.deepEqual(
      documents.map((text) => (JSON.parse(text) as { readonly cluster: string }).cluster),
      ["api", "site"],
    );
    // Of a node that is nowhere any more only the edits know where it was.
    const forgotten = await run("nodes", "forget", TWO, ONE);
    assert.deepEqual(forgotten, {
      code: 0,
      stdout: `${TWO}: as config and discovery say\n${ONE}: as config and discovery say\n`,
      stderr: "",
    });
    const again = await run("nodes", "forget", TWO);
    assert.equal(again.stdout, `${TWO}: as config and discovery say already\n`);
    assert.equal((await run("nodes", "forget", ONE)).code, 2, "it is in two clusters, and nothing was said");
    const unknown = await run("nodes", "forget", NEW);
    assert.deepEqual([unknown.code, unknown.stderr], [1, `no cluster has a node ${NEW}: looked in api, site\n`]);
  });

  it("is forgotten on all replicas", { skip: WITHOUT_REDIS }, async (t) => {
    const { url } = await startRedis(t);
    const [here, there] = [
      await startBalancer(t, { nodes: [1, 2], admin: ADMIN, store: url }),
      await startBalancer(t, { nodes: [1, 2], admin: ADMIN, store: url }),
    ];
    const ask = ({ balancer }: typeof here, method: string, path: string) =>
      askAdmin(balancer.adminAddress, path, { method });
    const ids = ({ balancer }: typeof here) => balancer.snapshot().nodes.map(({ id }) => id);
    await ask(here, "DELETE", pathOf(ONE));
    await there.until("the removal", () => ids(there).length === 1);
    assert.deepEqual((await ask(there, "GET", EDITS)).json, (await ask(here, "GET", EDITS)).json);
    await ask(there, "POST", `${pathOf(ONE)}/forget`);
    assert.deepEqual(ids(there), [ONE, TWO]);
    await here.until("the node", () => ids(here).length === 2);
  });
});
