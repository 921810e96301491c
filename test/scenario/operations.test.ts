import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { createBalancer } from "../../src/balancer.js";
import type { ChangeResult, EditCondition } from "../../src/core/operations.js";
import type { NodeChange } from "../../src/core/registry.js";
import { CHANGES_MAX, STATEMENTS_MAX } from "../../src/store/limits.js";
import { memoryStore } from "../../src/store/memory-store.js";
import { systemClock } from "../../src/system/clock.js";
import {
  DEFAULTS,
  type LogEvent,
  localNode,
  oneCluster,
  startBalancer,
  type TestBalancer,
} from "../support/balancer.js";
import { configWith } from "../support/clusters.js";
import { eventually, FakeClock } from "../support/fake-clock.js";
import { type FunctionNode, startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { startGatedNode } from "../support/gated-node.js";
import { startNodeProcess } from "../support/node-process.js";
import { startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawClient } from "../support/raw-peer.js";

const get = (path: string, fields = "") => `GET ${path} HTTP/1.1\r\nHost: fn\r\n${fields}\r\n`;
const UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
/** A setting in which a request is sent to its node once, come what may. */
const ONCE = { attemptsMax: 1, silenceMs: 0 };

const idOf = ({ port }: Pick<FunctionNode, "port">) => `127.0.0.1:${port}`;

/** Says something of the one cluster. */
function editorOf({ balancer }: Pick<TestBalancer, "balancer">) {
  return (change: NodeChange, condition?: EditCondition): Promise<ChangeResult> =>
    balancer.editNode("default", change, condition);
}

/** What everybody may see of the nodes. */
function nodesOf({ balancer }: Pick<TestBalancer, "balancer">): unknown[] {
  return balancer.snapshot().nodes.map(({ id, weight, mode }) => [id, weight, mode]);
}

/** Clients that ask one path after the other, some with a body, until they are told to stop. */
async function startLoad(t: TestContext, port: number, count: number) {
  const failures: unknown[] = [];
  let isOver = false;
  let calls = 0;
  const callers = Array.from({ length: count }, async () => {
    const client = await connectClient(t, port);
    while (!isOver) {
      const path = `/f/${calls++ % 150}`;
      const isPost = calls % 3 === 0;
      const post = `POST ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: 4\r\n\r\nbody`;
      const response = await client.ask(isPost ? post : get(path), isPost ? "POST" : "GET");
      if (response.status !== 200) failures.push([response.status, response.json().code]);
    }
    client.destroy();
  });
  return {
    /** Resolves when so many more calls have been made. */
    async goOn(more = 200) {
      const until = calls + more;
      await eventually(() => calls >= until || failures.length > 0);
    },
    async stop() {
      isOver = true;
      await Promise.all(callers);
      assert.deepEqual(failures, []);
    },
  };
}

for (const sockets of ["fast", "plain"]) {
  describe(`nodes edited under load, on ${sockets} sockets`, () => {
    it("cost no client an answer, and get what the edit says as soon as it is made (FB5, FB6, W12)", async (t) => {
      const [a, b, c] = await startFunctionNodes(t, 3);
      const started = await startBalancer(t, { nodes: [a.port, b.port] }, { sockets });
      const edit = editorOf(started);
      const load = await startLoad(t, started.port, 8);
      /** Goes on for a while; whether each node had new calls. */
      const wereAsked = async () => {
        // What was under way when the edit was made may still come.
        await load.goOn();
        const before = [a, b, c].map(({ calls }) => calls.length);
        await load.goOn();
        return [a, b, c].map(({ calls }, place) => calls.length > before[place]);
      };
      assert.deepEqual(await wereAsked(), [true, true, false]);
      assert.equal(await edit({ id: idOf(c), presence: "added" }), "applied");
      assert.deepEqual(await wereAsked(), [true, true, true]);
      assert.equal(await edit({ id: idOf(a), mode: "draining" }), "applied");
      assert.deepEqual(await wereAsked(), [false, true, true]);
      assert.equal(await edit({ id: idOf(b), mode: "disabled" }), "applied");
      assert.deepEqual(await wereAsked(), [false, false, true]);
      assert.equal(await edit({ id: idOf(a), mode: "active", weight: 4 }), "applied");
      assert.equal(await edit({ id: idOf(b), mode: "active", weight: 0 }), "applied");
      assert.deepEqual(await wereAsked(), [true, false, true]);
      assert.equal(await edit({ id: idOf(b), weight: null }), "applied");
      assert.equal(await edit({ id: idOf(c), presence: "removed" }), "applied");
      assert.deepEqual(await wereAsked(), [true, true, false]);
      assert.equal(await edit({ id: idOf(c), presence: "added" }), "applied");
      assert.deepEqual(await wereAsked(), [true, true, true]);
      await load.stop();
      assert.deepEqual(nodesOf(started), [
        [idOf(a), 4, "active"],
        [idOf(b), 1, "active"],
        [idOf(c), 1, "active"],
      ]);
    });

    for (const [what, last] of [
      ["removed", { presence: "removed" }],
      ["disabled", { mode: "disabled" }],
      ["draining", { mode: "draining" }],
    ] as const) {
      it(`that are ${what} finish what runs at them, from an upload to a tunnel (FB6, W12)`, async (t) => {
        const origin = await startRawOrigin(t);
        const other = await startFunctionNode(t, { name: "other" });
        const started = await startBalancer(t, { nodes: [origin.port], ...ONCE }, { sockets });
        const { port, balancer, until } = started;
        const edit = editorOf(started);
        /** A request and the node's side of it, once the node has its head. */
        const open = async (request: string) => {
          const client: RawClient = await connectClient(t, port);
          client.send(request);
          const node = await origin.accept();
          await node.log.untilText("\r\n\r\n");
          return { client, node };
        };
        const upload = await open("POST /up HTTP/1.1\r\nHost: fn\r\nContent-Length: 8\r\n\r\nhalf");
        const waiting = await open(get("/wait"));
        const download = await open(get("/down"));
        download.node.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
        await download.client.log.untilText("half");
        const tunnel = await open(get("/ws", UPGRADE));
        tunnel.node.send(SWITCH);
        assert.equal((await tunnel.client.response()).status, 101);

        assert.equal(await edit({ id: idOf(other), presence: "added" }), "applied");
        assert.equal(await edit({ id: idOf(origin), ...last }), "applied");
        const late = await connectClient(t, port);
        assert.equal((await late.ask(get("/late"))).json().node, "other");

        upload.client.send("half");
        await upload.node.log.untilText("halfhalf");
        upload.node.send("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nup");
        assert.equal((await upload.client.response("POST")).status, 201);
        waiting.node.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
        assert.equal((await waiting.client.response()).body.toString(), "late");
        download.node.send("half");
        assert.equal((await download.client.response()).body.toString(), "halfhalf");
        tunnel.client.send("ping");
        await tunnel.node.log.untilText("ping");
        tunnel.node.send("pong");
        await tunnel.client.log.untilText("pong");
        tunnel.client.end();
        await tunnel.node.log.untilEnd();
        tunnel.node.end();
        await until("the tunnel to be closed", ({ tunnels }) => tunnels === 0);
        const { counters } = balancer.snapshot();
        assert.deepEqual([counters.exchangesCut, counters.nodeAborts, counters.clientAborts], [0, 0, 0]);
      });
    }
  });
}

describe("an edit of a node", () => {
  it("says whether anything is different now (FB5, FB6)", async (t) => {
    const started = await startBalancer(t, { nodes: [localNode(1, 2)] });
    const edit = editorOf(started);
    const first = "127.0.0.1:1";
    const second = "127.0.0.1:2";
    const steps: readonly (readonly [NodeChange, ChangeResult, unknown[]])[] = [
      [{ id: second, presence: "added" }, "applied", [1, "active"]],
      [{ id: second, presence: "added" }, "unchanged", [1, "active"]],
      [{ id: first, presence: "added" }, "unchanged", [2, "active"]],
      [{ id: first, weight: 2 }, "unchanged", [2, "active"]],
      [{ id: first, weight: 3 }, "applied", [3, "active"]],
      [{ id: first, weight: null }, "applied", [2, "active"]],
      [{ id: first, mode: "active" }, "unchanged", [2, "active"]],
      [{ id: first, mode: "disabled", weight: 2 }, "applied", [2, "disabled"]],
      [{ id: first }, "unchanged", [2, "disabled"]],
    ];
    for (const [change, result, shown] of steps) {
      assert.equal(await edit(change), result, JSON.stringify(change));
      const found = started.balancer.snapshot().nodes.find(({ id }) => id === change.id);
      assert.deepEqual([found?.weight, found?.mode], shown);
    }
    assert.equal(await edit({ id: second, presence: "removed" }), "applied");
    assert.equal(await edit({ id: second, presence: "removed" }), "unchanged");
    assert.deepEqual(nodesOf(started), [[first, 2, "disabled"]]);
  });

  it("is refused where the node is not as it is expected to be, or not known", async (t) => {
    const edit = editorOf(await startBalancer(t, { nodes: [1] }));
    const there = "127.0.0.1:1";
    const gone = "127.0.0.1:2";
    const never = "127.0.0.1:3";
    await edit({ id: gone, presence: "added" });
    await edit({ id: gone, presence: "removed" });
    const notFound = { name: "FnlbError", code: "ERR_NOT_FOUND" };
    await assert.rejects(edit({ id: there, presence: "added" }, { expects: "absent" }), {
      name: "FnlbError",
      code: "ERR_CONFLICT",
      message: `node "${there}" is there already`,
    });
    for (const id of [gone, never]) {
      await assert.rejects(edit({ id, weight: 2 }, { expects: "present" }), notFound);
      await assert.rejects(edit({ id, weight: 2 }), notFound);
      await assert.rejects(edit({ id, presence: "removed" }, { expects: "present" }), notFound);
    }
    await assert.rejects(edit({ id: never, presence: "removed" }), notFound);
    await assert.rejects(edit({ id: never, presence: null }), notFound);
    assert.equal(await edit({ id: gone, presence: null }), "applied", "removed is more than not there");
    assert.equal(await edit({ id: there, presence: "added", weight: 2 }, { expects: "present" }), "applied");
  });

  it("is refused where it cannot be, and then nothing is different", async (t) => {
    const started = await startBalancer(t, { nodes: [1] });
    const edit = editorOf(started);
    const id = "127.0.0.1:1";
    const bad: readonly NodeChange[] = [
      { id: "", presence: "added" },
      { id: "quic://a:80", presence: "added" },
      { id: "a:80=2", presence: "added" },
      { id: "a:80,b:80", presence: "added" },
      { id: "a:0", presence: "added" },
      { id: `a:80/${"x".repeat(1024)}`, presence: "added" },
      { id, weight: -1 },
      { id, weight: 1000.5 },
      { id, weight: Number.NaN },
      { id, mode: "paused" as "draining" },
      { id, presence: "there" as "added" },
      { id, presence: "removed", weight: 1 },
      { id, presence: "removed", mode: "draining" },
    ];
    for (const change of bad) {
      await assert.rejects(edit(change), { name: "FnlbError", code: "ERR_BAD_REQUEST" }, JSON.stringify(change));
    }
    await assert.rejects(started.balancer.editNode("other", { id, weight: 2 }), {
      code: "ERR_NOT_FOUND",
      message: 'there is no cluster "other"',
    });
    assert.deepEqual(nodesOf(started), [[id, 1, "active"]]);
  });

  it("names a node as --nodes would, however it is written", async (t) => {
    const started = await startBalancer(t, { nodes: [1] }, { resolve: async () => ["127.0.0.1"] });
    const edit = editorOf(started);
    assert.equal(await edit({ id: "Fn", presence: "added" }), "applied");
    assert.equal(await edit({ id: "http://fn:8080/", presence: "added" }), "unchanged");
    assert.equal(await edit({ id: "[0:0::1]:80", presence: "added" }), "applied");
    assert.equal(await edit({ id: "unix:/run/a=b", presence: "added" }), "applied");
    assert.equal(await edit({ id: "127.0.0.1:1", weight: 7 }), "applied");
    assert.deepEqual(
      nodesOf(started).map((node) => (node as unknown[])[0]),
      ["127.0.0.1:1", "[::1]:80", "fn:8080", "unix:/run/a=b"],
    );
  });

  it("is refused before the balancer listens and once it is closed, and not while it drains", async (t) => {
    const gated = await startGatedNode(t);
    const started = await startBalancer(t, { nodes: [gated.port] });
    const { balancer, port, event } = started;
    const edit = editorOf(started);
    const client = await connectClient(t, port);
    const running = client.ask(get("/f"));
    const call = await gated.next();
    const drained = balancer.drain();
    await event("draining");
    assert.equal(await edit({ id: "127.0.0.1:1", presence: "added" }), "applied");
    call.answer();
    assert.equal((await running).status, 200);
    client.end();
    await drained;
    const node = "127.0.0.1:1";
    const isOver = { name: "FnlbError", code: "ERR_DRAINING" };
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const early = createBalancer(oneCluster({ ...DEFAULTS, nodes: [localNode(1)] }), { log });
    for (const closed of [balancer, early]) {
      await assert.rejects(closed.editNode("default", { id: node, weight: 2 }), isOver);
      for (const act of [
        () => closed.listeners(),
        () => closed.pauseListener(node),
        () => closed.resumeListener(node),
        () => closed.resetNode({ cluster: "default", node }),
        () => closed.markAlive({ cluster: "default", node }),
      ]) {
        assert.throws(act, isOver);
      }
    }
    await early.close();
  });

  it("resolves when the cluster has taken it over, also while names are looked up or a config is loaded", async (t) => {
    const answers: (() => void)[] = [];
    const resolve = () =>
      new Promise<string[]>((give) => {
        answers.push(() => give(["127.0.0.1"]));
      });
    const started = await startBalancer(t, { nodes: [1] }, { resolve });
    const edit = editorOf(started);
    const results: string[] = [];
    const adding = edit({ id: "slow:1", presence: "added" }).then(() => results.push("added"));
    await eventually(() => answers.length === 1);
    const draining = edit({ id: "127.0.0.1:1", mode: "draining" }).then(() => results.push("draining"));
    assert.deepEqual([nodesOf(started).length, results], [1, []], "nobody dials a name that has no address");
    answers[0]();
    await Promise.all([adding, draining]);
    assert.deepEqual(nodesOf(started), [
      ["127.0.0.1:1", 1, "draining"],
      ["slow:1", 1, "active"],
    ]);
    const nodes = [
      localNode(1, 2),
      { ...localNode(2), id: "other:2", address: { ...localNode(2).address, host: "other" } },
    ];
    const reloading = started.balancer.reload(oneCluster({ ...started.config, nodes } as typeof started.config));
    await eventually(() => answers.length === 2);
    const weighing = edit({ id: "slow:1", weight: 5 });
    answers[1]();
    await Promise.all([reloading, weighing]);
    assert.deepEqual(nodesOf(started), [
      ["127.0.0.1:1", 2, "draining"],
      ["other:2", 1, "active"],
      ["slow:1", 5, "active"],
    ]);
  });

  it("waits no longer than a moment for a name that nobody resolves", async (t) => {
    const clock = new FakeClock();
    const resolve = () => new Promise<never>(() => {});
    const started = await startBalancer(t, { nodes: [1], pingIntervalMs: 3_600_000 }, { resolve, clock });
    let result: string | undefined;
    const adding = editorOf(started)({ id: "nowhere:1", presence: "added" }).then((given) => {
      result = given;
    });
    await clock.advance(2000);
    await adding;
    assert.equal(result, "applied");
    assert.equal(started.balancer.snapshot().nodes.length, 2);
  });

  it("shows a node before its first check has passed, and that it gets nothing yet (FB7)", async (t) => {
    const [a, b] = await startFunctionNodes(t, 2);
    const checks: (() => void)[] = [];
    const c = await startFunctionNode(t, {
      name: "c",
      onHead(request, response) {
        if (request.url !== "/health") return false;
        checks.push(() => response.end());
        return true;
      },
    });
    const started = await startBalancer(t, { nodes: [a.port, b.port], checkPath: "/health" });
    assert.equal(await editorOf(started)({ id: idOf(c), presence: "added" }), "applied");
    const shown = started.balancer.snapshot().nodes.find(({ id }) => id === idOf(c));
    assert.deepEqual([shown?.check, shown?.origin], ["unknown", "operator"]);
    const client = await connectClient(t, started.port);
    for (let n = 0; n < 30; n++) assert.notEqual((await client.ask(get(`/f/${n}`))).json().node, "c");
    await eventually(() => checks.length > 0);
    checks[0]();
    await started.until("its first check", ({ nodes }) => nodes.every(({ check }) => check === "passing"));
    const names = new Set<unknown>();
    for (let n = 0; n < 60; n++) names.add((await client.ask(get(`/f/${n}`))).json().node);
    assert.equal(names.has("c"), true);
  });

  it("lets a draining node keep its sticky clients, and a disabled one nobody", async (t) => {
    const nodes = await startFunctionNodes(t, 2);
    const started = await startBalancer(t, {
      nodes: nodes.map(({ port }) => port),
      policy: "weighted-round-robin",
      stickyHeader: "x-session",
      stickyCodecs: ["raw"],
    });
    const client = await connectClient(t, started.port);
    const first = await client.ask(get("/f"));
    const home = nodes.find(({ name }) => name === first.json().node);
    assert.ok(home !== undefined);
    const sticky = get("/f", `x-session: ${first.header("x-session")}\r\n`);
    const edit = editorOf(started);
    await edit({ id: idOf(home), mode: "draining" });
    for (let n = 0; n < 4; n++) assert.equal((await client.ask(sticky)).json().node, home.name);
    for (let n = 0; n < 4; n++) assert.notEqual((await client.ask(get("/f"))).json().node, home.name);
    await edit({ id: idOf(home), mode: "disabled" });
    for (let n = 0; n < 4; n++) assert.notEqual((await client.ask(sticky)).json().node, home.name);
  });

  it("leaves nobody waiting at a node that is removed because it is frozen", async (t) => {
    const frozen = await startNodeProcess(t, { name: "frozen" });
    const other = await startFunctionNode(t, { name: "other" });
    const clock = new FakeClock();
    const started = await startBalancer(t, { nodes: [frozen.port] }, { clock });
    const client = await connectClient(t, started.port);
    assert.equal((await client.ask(get("/f"))).json().node, "frozen");
    frozen.freeze();
    const answer = client.ask(get("/f"));
    await started.until("the request", ({ nodes }) => nodes[0].inFlight === 1);
    const edit = editorOf(started);
    await edit({ id: idOf(other), presence: "added" });
    await edit({ id: idOf(frozen), presence: "removed" });
    await clock.advance(1300);
    await started.until("the question", ({ counters }) => counters.probes === 1);
    await clock.advance(1100);
    assert.equal((await answer).json().node, "other");
  });

  it("is remembered for a cluster that a reload takes away and another one brings back", async (t) => {
    const [a, b, c] = await startFunctionNodes(t, 3);
    const started = await startBalancer(t, { nodes: [a.port] });
    const { balancer } = started;
    const both = configWith({ first: { nodes: [a.port] }, second: { nodes: [b.port] } });
    await balancer.reload(both);
    await balancer.editNode("second", { id: idOf(c), presence: "added", weight: 2 });
    await balancer.editNode("second", { id: idOf(b), mode: "draining" });
    await balancer.reload(configWith({ first: { nodes: [a.port] } }));
    await assert.rejects(balancer.editNode("second", { id: idOf(c), weight: 3 }), { code: "ERR_NOT_FOUND" });
    await balancer.reload(both);
    assert.deepEqual(nodesOf(started), [
      [idOf(a), 1, "active"],
      [idOf(b), 1, "draining"],
      [idOf(c), 2, "active"],
    ]);
    assert.equal(await balancer.editNode("second", { id: idOf(c), weight: 2 }), "unchanged");
  });

  it("is in the log with what follows from it", async (t) => {
    const { balancer, events } = await startBalancer(t, { nodes: [1] });
    const before = events.length;
    await balancer.editNode("default", { id: "127.0.0.1:2", presence: "added", mode: "draining" });
    await balancer.editNode("default", { id: "127.0.0.1:2", mode: "active" });
    await balancer.editNode("default", { id: "127.0.0.1:2", presence: "removed" });
    assert.deepEqual(
      events.slice(before).map(({ event, node, mode }: LogEvent) => [event, node, mode]),
      [
        ["node_added", "127.0.0.1:2", undefined],
        ["node_mode_changed", "127.0.0.1:2", "draining"],
        ["node_mode_changed", "127.0.0.1:2", "active"],
        ["node_removed", "127.0.0.1:2", undefined],
      ],
    );
  });

  it("names the limit of a cluster's registry where it is reached", async (t) => {
    const store = memoryStore({ clock: systemClock });
    const ids = Array.from({ length: STATEMENTS_MAX }, (_, n) => `10.0.${n >> 8}.${n & 255}:80`);
    for (let at = 0; at < ids.length; at += CHANGES_MAX) {
      const some = ids.slice(at, at + CHANGES_MAX);
      await store.edit(
        "default",
        some.map((id) => ({ id, weight: 2 })),
      );
    }
    const edit = editorOf(await startBalancer(t, { nodes: [1] }, { store }));
    await assert.rejects(edit({ id: "127.0.0.1:2", presence: "added" }), {
      code: "ERR_STORE",
      message: 'the registry of cluster "default" is full: it holds at most 10000 statements',
    });
    assert.equal(await edit({ id: ids[0], weight: null }), "applied");
    assert.equal(await edit({ id: "127.0.0.1:2", presence: "added" }), "applied");
  });

  it("forgets removals that nobody needs any more before they fill the registry", async (t) => {
    const store = memoryStore({ clock: systemClock });
    // Removed nodes are statements, too.
    const ids = Array.from({ length: CHANGES_MAX }, (_, n) => `10.0.${n >> 8}.${n & 255}:80`);
    await store.edit(
      "default",
      ids.map((id) => ({ id, presence: "removed" })),
    );
    const running = await startBalancer(t, { nodes: [1] }, { store });
    const edit = editorOf(running);
    assert.equal(await edit({ id: "127.0.0.1:1", presence: "removed" }), "applied");
    assert.equal((await store.read("default")).edits.size, CHANGES_MAX + 1, "few enough to remember");
    assert.equal(await edit({ id: "127.0.0.1:2", presence: "added" }), "applied");
    const { edits } = await store.read("default");
    assert.ok(edits.size < CHANGES_MAX, `${edits.size} nodes are still spoken about`);
    assert.equal(edits.get("127.0.0.1:1")?.presence, "removed", "the config names it: it would be back");
    assert.deepEqual(
      running.balancer.snapshot().nodes.map(({ id }) => id),
      ["127.0.0.1:2"],
    );
  });
});
