import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { createBalancer } from "../../src/balancer.js";
import { type LogEvent, localNode, startBalancer, type TestConfig } from "../support/balancer.js";
import { configWith } from "../support/clusters.js";
import { eventually, FakeClock } from "../support/fake-clock.js";
import { startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { makeDirectory } from "../support/program.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient, RawClient } from "../support/raw-peer.js";
import { routeTo } from "../support/routed-request.js";

const get = (path: string, fields = "") => `GET ${path} HTTP/1.1\r\nHost: fn\r\n${fields}\r\n`;
const UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/** Which node answers; undefined with another status than 200. */
async function ask(client: RawClient, path: string, fields = ""): Promise<string | undefined> {
  const response = await client.ask(get(path, fields));
  return response.status === 200 ? (response.json().node as string) : undefined;
}

async function asks(client: RawClient, path: string, count: number): Promise<string> {
  let nodes = "";
  for (let number = 0; number < count; number++) nodes += await ask(client, path);
  return nodes;
}

const ports = (nodes: readonly { readonly port: number }[]) => nodes.map(({ port }) => port);

/** A balancer that is about to be reloaded: what it begins with does not matter. */
function start(t: TestContext, config: TestConfig = { nodes: [1] }, clock?: FakeClock) {
  return startBalancer(t, config, clock === undefined ? {} : { clock });
}

/** A tunnel through the balancer below a path, and both of its ends. */
async function openTunnel(
  t: TestContext,
  port: number,
  path: string,
  origin: Awaited<ReturnType<typeof startRawOrigin>>,
) {
  const client = await connectClient(t, port);
  client.send(get(path, UPGRADE));
  const node = await origin.accept();
  await node.log.untilText("\r\n\r\n");
  node.send(SWITCH);
  assert.equal((await client.response()).status, 101);
  let turn = 0;
  return {
    client,
    node,
    async passes() {
      const word = `<${++turn}>`;
      client.send(`client${word}`);
      await node.log.untilText(`client${word}`);
      node.send(`node${word}`);
      await client.log.untilText(`node${word}`);
    },
  };
}

/** A client at a unix socket, or undefined where nobody listens. */
async function connectUnix(t: TestContext, path: string): Promise<RawClient | undefined> {
  const socket = connect({ path, allowHalfOpen: true });
  t.after(() => socket.destroy());
  const isOpen = await new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  });
  return isOpen ? new RawClient(socket) : undefined;
}

const atUnix = (path: string, proxyProtocol = false) => ({ address: { kind: "unix", path } as const, proxyProtocol });

const names = (events: readonly LogEvent[]) => events.map(({ event }) => event);

describe("a reload that leaves a cluster alone", () => {
  it("keeps the connections to its nodes", async (t) => {
    const [a, b, c] = await startFunctionNodes(t, 3);
    const { port, balancer } = await start(t);
    const ring = { nodes: [a.port], policy: "ring-hash" } as const;
    const turns = { nodes: [b.port], policy: "weighted-round-robin" } as const;
    const least = { nodes: [c.port], policy: "least-loaded" } as const;
    await balancer.reload(configWith({ ring, turns, least }));
    const client = await connectClient(t, port);
    const askAll = async () => {
      for (const path of ["/ring", "/turns", "/least"]) assert.notEqual(await ask(client, path), undefined);
    };
    await askAll();
    const { dials } = balancer.snapshot().counters;
    await balancer.reload(configWith({ ring, turns: { ...turns, attemptsMax: 9 }, least }));
    await balancer.reload(configWith({ least, ring, turns: { ...turns, policy: "random" } }, { requestId: true }));
    await balancer.reload(configWith({ ring, turns: { ...turns, breakerFaults: 3, outlierConsecutive: 3 }, least }));
    await askAll();
    assert.equal(balancer.snapshot().counters.dials, dials, "not even a changed cluster dials its nodes again");
    assert.deepEqual([a.connections, b.connections, c.connections], [1, 1, 1]);
  });

  it("keeps its place in the turns of its nodes, and so does what changes no turn", async (t) => {
    const nodes = ports(await startFunctionNodes(t, 3));
    const { port, balancer } = await start(t);
    const turns = { nodes, policy: "weighted-round-robin" } as const;
    const client = await connectClient(t, port);
    await balancer.reload(configWith({ turns }));
    assert.equal(await asks(client, "/turns", 1), "a");
    await balancer.reload(configWith({ turns, other: { nodes } }));
    assert.equal(await asks(client, "/turns", 1), "b");
    await balancer.reload(configWith({ turns: { ...turns, attemptsMax: 9, retryBudget: 0 } }));
    assert.equal(await asks(client, "/turns", 1), "c");
    await balancer.reload(configWith({ turns: { ...turns, outlierConsecutive: 5, breakerFaults: 5, slowStartMs: 0 } }));
    assert.equal(await asks(client, "/turns", 1), "a");
    await balancer.reload(configWith({ turns: { ...turns, stickyHeader: "x-node", stickyCodecs: ["raw"] } }));
    assert.equal(await asks(client, "/turns", 1), "b");
    await balancer.reload(configWith({ turns: { ...turns, loadHeader: "x-wait", slowStartMs: 1000 } }));
    assert.equal(await asks(client, "/turns", 2), "ca");
  });

  it("keeps moved weights", async (t) => {
    const clock = new FakeClock();
    const [good, bad] = [
      await startRawOrigin(t, answering(ok("g"))),
      await startRawOrigin(t, answering(ok("b").replace("200", "503"))),
    ];
    const { port, balancer, events } = await start(t, { nodes: [1] }, clock);
    const moved = { nodes: ports([good, bad]), policy: "weighted-round-robin", rebalance: true } as const;
    await balancer.reload(configWith({ moved }));
    const client = await connectClient(t, port);
    for (let call = 0; call < 200 && !names(events).includes("weight_moved"); call++) {
      await client.ask(get("/moved"));
      clock.pass(200);
    }
    const moves = names(events).filter((event) => event === "weight_moved").length;
    assert.ok(moves > 0);
    await balancer.reload(configWith({ moved: { ...moved, attemptsMax: 5, outlierConsecutive: 100 } }));
    assert.equal(names(events).filter((event) => event === "weight_moved").length, moves);
    const counts = [good, bad].map(({ connections: [peer] }) => peer.text.split("GET ").length);
    for (let call = 0; call < 6; call++) await client.ask(get("/moved"));
    const [more, fewer] = [good, bad].map(
      ({ connections: [peer] }, place) => peer.text.split("GET ").length - counts[place],
    );
    assert.ok(more > fewer, `${more} and ${fewer}`);
  });

  it("keeps clients on their nodes, also while secrets rotate and nodes come", async (t) => {
    const nodes = await startFunctionNodes(t, 4);
    const { port, balancer } = await start(t);
    const [secret, next] = ["a secret of 32 bytes or thereab.", "another one that is as long as it"];
    const sticky = {
      nodes: ports(nodes.slice(0, 3)),
      policy: "random",
      stickyCookie: "fnlb",
      stickySecrets: [secret],
    } as const;
    await balancer.reload(configWith({ sticky }));
    const client = await connectClient(t, port);
    const first = await client.ask(get("/sticky"));
    const home = first.json().node;
    const cookie = `Cookie: ${first.header("set-cookie")?.split(";")[0]}\r\n`;
    for (const change of [
      { attemptsMax: 9 },
      { nodes: [...sticky.nodes].reverse() },
      { nodes: ports(nodes) },
      { stickySecrets: [next, secret] },
      { policy: "least-loaded" },
    ] as const) {
      await balancer.reload(configWith({ sticky: { ...sticky, ...change }, other: { nodes: [1] } }));
      for (let call = 0; call < 5; call++) assert.equal(await ask(client, "/sticky", cookie), home);
    }
  });

  it("keeps its dead nodes dead, without a dial, and pings them as before", async (t) => {
    const clock = new FakeClock();
    const [a, b] = await startFunctionNodes(t, 2);
    const { port, balancer, events, event, until } = await start(t, { nodes: [1] }, clock);
    const turns = { nodes: ports([a, b]), policy: "weighted-round-robin", pingIntervalMs: 60_000 } as const;
    await balancer.reload(configWith({ turns }));
    const client = await connectClient(t, port);
    await a.stop();
    assert.equal(await asks(client, "/turns", 2), "bb");
    await event("node_dead");
    const { dials } = balancer.snapshot().counters;
    for (const attemptsMax of [4, 5]) {
      await balancer.reload(configWith({ turns: { ...turns, attemptsMax }, other: { nodes: ports([a]) } }));
      assert.equal(await asks(client, "/turns", 3), "bbb");
    }
    const { nodes, counters } = balancer.snapshot();
    assert.deepEqual([nodes[0].alive, nodes[1].alive, counters.dials, counters.pings], [false, true, dials, 0]);
    await a.start();
    // A shorter pause counts at once, not after the long one that has begun.
    await balancer.reload(configWith({ turns: { ...turns, pingIntervalMs: 1000 } }));
    await clock.advance(1300);
    await until("the revival", ({ nodes: [node] }) => node.alive);
    assert.equal(balancer.snapshot().counters.pings, 1);
    assert.equal(names(events).filter((name) => name === "node_alive").length, 1);
    assert.deepEqual([...(await asks(client, "/turns", 2))].sort(), ["a", "b"]);
  });

  it("keeps ejected nodes out, and breakers open", async (t) => {
    const clock = new FakeClock();
    const bad = await startRawOrigin(t, answering(ok("bad").replace("200 OK", "500 No")));
    const good = await startFunctionNode(t, { name: "good" });
    const { port, balancer, event } = await start(t, { nodes: [1] }, clock);
    const nodes = ports([bad, good]);
    const ejecting = { nodes, policy: "weighted-round-robin", outlierConsecutive: 1, panicShare: 0 } as const;
    const breaking = { nodes, policy: "weighted-round-robin", breakerFaults: 1, breakerOpenMs: 10_000 } as const;
    await balancer.reload(configWith({ ejecting, breaking }));
    const client = await connectClient(t, port);
    for (const path of ["/ejecting", "/breaking"]) assert.equal((await client.ask(get(path))).status, 500);
    await event("node_ejected");
    await event("breaker_opened");
    const third = { nodes: [1] };
    for (const config of [
      configWith({ ejecting, breaking, third }),
      configWith({ ejecting: { ...ejecting, attemptsMax: 9 }, breaking: { ...breaking, attemptsMax: 9 } }),
      configWith({ ejecting: { ...ejecting, policy: "least-loaded" }, breaking: { ...breaking, policy: "random" } }),
      configWith({
        ejecting: { ...ejecting, breakerFaults: 7 },
        breaking: { ...breaking, outlierConsecutive: 7, panicShare: 0 },
      }),
    ]) {
      await balancer.reload(config);
      for (const path of ["/ejecting", "/breaking"]) {
        for (let call = 0; call < 4; call++) assert.equal(await ask(client, path), "good");
      }
    }
    const [ejected, , broken] = balancer.snapshot().nodes;
    assert.deepEqual([ejected.ejected, broken.breaker], [true, "open"]);
    await clock.advance(30_300);
    await event("node_returned");
  });
});

describe("a tunnel", () => {
  it("passes bytes on, whether its cluster stays, changes, or goes with its route", async (t) => {
    const origin = await startRawOrigin(t);
    const { port, balancer, until } = await start(t);
    const same = { nodes: [origin.port] };
    await balancer.reload(configWith({ same, changed: same, moved: same, removed: same }));
    const tunnels = [];
    for (const path of ["/same", "/changed", "/moved", "/removed"])
      tunnels.push(await openTunnel(t, port, path, origin));
    const others = await startFunctionNodes(t, 2);
    for (const attemptsMax of [4, 5]) {
      await balancer.reload(
        configWith(
          { same, changed: { nodes: ports(others), policy: "random", attemptsMax }, moved: { nodes: ports(others) } },
          {
            routes: [routeTo("same", { path: "/same" }), routeTo("changed")],
          },
        ),
      );
      for (const tunnel of tunnels) await tunnel.passes();
    }
    assert.equal(balancer.snapshot().tunnels, 4);
    for (const { client, node } of tunnels) {
      client.end();
      await node.log.untilEnd();
      node.end();
    }
    await until("the end of all tunnels", (snapshot) => snapshot.tunnels === 0 && snapshot.connections === 0);
  });

  it("is not cut by a limit that has been taken off meanwhile, but by one that has been set", async (t) => {
    const clock = new FakeClock();
    const origin = await startRawOrigin(t);
    const { port, balancer } = await start(t, { nodes: [1] }, clock);
    const config = (tunnelIdleTimeoutMs: number) => configWith({ x: { nodes: [origin.port], tunnelIdleTimeoutMs } });
    await balancer.reload(config(1000));
    const tunnel = await openTunnel(t, port, "/x", origin);
    await balancer.reload(config(0));
    await tunnel.passes();
    await clock.advance(5000);
    await tunnel.passes();
    await balancer.reload(config(1000));
    await tunnel.passes();
    await clock.advance(2000);
    await tunnel.client.log.untilEnd();
    assert.equal(balancer.snapshot().counters.tunnelTimeouts, 1);
  });
});

describe("a change of nodes", () => {
  it("lets a request at a removed node finish, and closes its connections", async (t) => {
    const [old, next] = [await startRawOrigin(t), await startFunctionNode(t, { name: "next" })];
    const { port, balancer, event } = await start(t, { nodes: [old.port] });
    const [slow, quick] = [await connectClient(t, port), await connectClient(t, port)];
    slow.send(get("/slow"));
    const busy = await old.accept();
    await busy.log.untilText("\r\n\r\n");
    quick.send(get("/quick"));
    const idle = await old.accept();
    await idle.log.untilText("\r\n\r\n");
    idle.send(ok("quick"));
    await quick.response();
    await balancer.reload(configWith({ default: { nodes: [next.port] } }, { routes: [routeTo("default")] }));
    assert.equal((await event("node_added")).node, next.address);
    assert.equal((await event("node_removed")).node, `127.0.0.1:${old.port}`);
    await idle.log.untilEnd();
    assert.equal(await ask(quick, "/quick"), "next");
    assert.equal(busy.log.hasEnded, false);
    busy.send(ok("slow"));
    assert.equal((await slow.response()).body.toString(), "slow");
    await busy.log.untilEnd();
    assert.equal(old.connections.length, 2);
    assert.equal(await ask(slow, "/slow"), "next");
  });

  it("takes a node back that still finishes something from before", async (t) => {
    const [a, b] = [await startRawOrigin(t), await startRawOrigin(t, answering(ok("b")))];
    const { port, balancer } = await start(t);
    const nodes = [localNode(a.port), localNode(b.port, 0)];
    await balancer.reload(configWith({ x: { nodes, policy: "least-loaded" } }));
    const [early, late] = [await connectClient(t, port), await connectClient(t, port)];
    early.send(get("/x"));
    const before = await a.accept();
    await before.log.untilText("\r\n\r\n");
    await balancer.reload(configWith({ x: { nodes: [b.port], policy: "least-loaded" } }));
    await balancer.reload(configWith({ x: { nodes, policy: "least-loaded" } }));
    late.send(get("/x"));
    const after = await a.accept();
    await after.log.untilText("\r\n\r\n");
    const [node] = balancer.snapshot().nodes;
    assert.deepEqual([node.inFlight, node.connections], [1, 1], "the old one is counted apart");
    before.send(ok("early"));
    assert.equal((await early.response()).body.toString(), "early");
    await before.log.untilEnd();
    after.send(ok("late"));
    assert.equal((await late.response()).body.toString(), "late");
    assert.equal(balancer.snapshot().nodes[0].idleConnections, 1);
  });

  it("gives weights at once", async (t) => {
    const [a, b] = ports(await startFunctionNodes(t, 2));
    const { port, balancer } = await start(t);
    const client = await connectClient(t, port);
    for (const [weights, expected] of [
      [[1, 1], "aabb"],
      [[3, 1], "aaab"],
      [[0, 1], "bbbb"],
      [[1, 0], "aaaa"],
    ] as const) {
      const nodes = [localNode(a, weights[0]), localNode(b, weights[1])];
      await balancer.reload(configWith({ x: { nodes, policy: "weighted-round-robin" } }));
      assert.equal([...(await asks(client, "/x", 4))].sort().join(""), expected);
    }
  });

  it("moves only the keys of the ring that it must", async (t) => {
    const nodes = ports(await startFunctionNodes(t, 4));
    const { port, balancer } = await start(t);
    const client = await connectClient(t, port);
    const homes = async () => {
      let homes = "";
      for (let key = 0; key < 40; key++) homes += await ask(client, `/x/${key}`);
      return homes;
    };
    await balancer.reload(configWith({ x: { nodes: nodes.slice(0, 3) } }));
    const before = await homes();
    await balancer.reload(configWith({ x: { nodes } }));
    const after = await homes();
    assert.ok(after.includes("d"));
    for (const [key, node] of [...after].entries()) assert.ok(node === before[key] || node === "d", `${key}`);
    await balancer.reload(configWith({ x: { nodes: nodes.slice(0, 3) } }));
    assert.equal(await homes(), before);
  });

  it("waits for the name of a new node before it gets anything", async (t) => {
    const [a, b] = await startFunctionNodes(t, 2);
    let answer = (_: readonly string[]) => {};
    const { port, balancer, events } = await startBalancer(
      t,
      { nodes: [a.port] },
      {
        resolve: () =>
          new Promise((resolve) => {
            answer = resolve;
          }),
      },
    );
    const client = await connectClient(t, port);
    const named = {
      id: `b:${b.port}`,
      address: { kind: "tcp", host: "b", port: b.port, basePath: "" },
      weight: 1,
    } as const;
    const reloaded = balancer.reload(configWith({ default: { nodes: [named] } }, { routes: [routeTo("default")] }));
    assert.equal(await ask(client, "/x"), "a", "the old config serves meanwhile");
    answer(["127.0.0.1"]);
    await reloaded;
    assert.equal(await ask(client, "/x"), "b");
    assert.ok(!names(events).includes("node_dead"), names(events).join());
  });

  it("sends nothing to new nodes before their checks have passed, and loses nothing when all are new", async (t) => {
    const [a, b] = await startFunctionNodes(t, 2);
    const { port, balancer, event } = await start(t, {
      nodes: [a.port],
      checkPath: "/health",
      checkIntervalMs: 60_000,
    });
    const client = await connectClient(t, port);
    assert.equal(await ask(client, "/x"), "a");
    const routes = [routeTo("default")];
    const checked = { checkPath: "/health", checkIntervalMs: 60_000 };
    await balancer.reload(configWith({ default: { ...checked, nodes: [b.port] } }, { routes }));
    assert.equal(b.calls[0].target, "/health");
    assert.equal(await ask(client, "/x"), "b");
    // Another check, over the same node: what was known counts until the first new answer.
    await balancer.reload(configWith({ default: { ...checked, nodes: [b.port], checkPath: "/other" } }, { routes }));
    assert.equal(await ask(client, "/x"), "b");
    await eventually(() => b.calls.some(({ target }) => target === "/other"));
    await balancer.reload(configWith({ default: { nodes: [b.port] } }, { routes }));
    assert.equal(balancer.snapshot().nodes[0].check, "off");
    assert.equal(await ask(client, "/x"), "b");
    await balancer.reload(configWith({ default: { ...checked, nodes: [a.port, b.port] } }, { routes }));
    assert.deepEqual(balancer.snapshot().nodes.map(({ check }) => check)[0], "passing");
    await event("node_removed");
  });

  it("makes it news again when the new nodes are all offline, too", async (t) => {
    const clock = new FakeClock();
    const [a, b] = await startFunctionNodes(t, 2);
    const { port, balancer, events } = await start(t, { nodes: [a.port] }, clock);
    const client = await connectClient(t, port);
    await a.stop();
    assert.equal((await client.ask(get("/x"))).status, 502);
    await balancer.reload(configWith({ default: { nodes: [b.port] } }, { routes: [routeTo("default")] }));
    assert.equal(await ask(client, "/x"), "b");
    await b.stop();
    assert.equal((await client.ask(get("/x"))).status, 502);
    assert.equal(names(events).filter((name) => name === "no_fallback_node_found").length, 2);
  });
});

describe("a removed cluster", () => {
  it("lets its requests fall back to another of its nodes", async (t) => {
    const [first, second] = [await startRawOrigin(t), await startRawOrigin(t, answering(ok("second")))];
    const { port, balancer, until } = await start(t);
    const gone = { nodes: ports([first, second]), policy: "weighted-round-robin" } as const;
    await balancer.reload(configWith({ gone }));
    const client = await connectClient(t, port);
    client.send(get("/gone"));
    const node = await first.accept();
    await node.log.untilText("\r\n\r\n");
    const other = { nodes: [1] };
    await balancer.reload(configWith({ other }));
    node.destroy();
    const response = await client.response();
    assert.deepEqual([response.status, response.body.toString()], [200, "second"]);
    const late = await client.ask(get("/gone"));
    assert.deepEqual([late.status, late.json().code], [404, "ERR_NO_ROUTE"]);
    await second.connections[0].log.untilEnd();
    await until("no exchange", ({ exchanges }) => exchanges === 0);
  });

  it("serves who waits in its queue", async (t) => {
    const origin = await startRawOrigin(t);
    const { port, balancer, until } = await start(t);
    await balancer.reload(configWith({ gone: { nodes: [origin.port], nodeConnectionsMax: 1, queueMax: 5 } }));
    const [first, second] = [await connectClient(t, port), await connectClient(t, port)];
    first.send(get("/gone"));
    const busy = await origin.accept();
    await busy.log.untilText("\r\n\r\n");
    second.send(get("/gone"));
    await until("one to wait", ({ queued }) => queued === 1);
    await balancer.reload(configWith({ other: { nodes: [1] } }));
    busy.send(ok("first"));
    assert.equal((await first.response()).body.toString(), "first");
    const next = await origin.accept();
    await next.log.untilText("\r\n\r\n");
    next.send(ok("second"));
    assert.equal((await second.response()).body.toString(), "second");
    await Promise.all([busy, next].map((peer) => peer.log.untilEnd()));
  });

  it("does not wait for a node that is dead, and leaves nothing behind when all is closed at once", async (t) => {
    const clock = new FakeClock();
    const [a, b] = [await startRawOrigin(t), await startFunctionNode(t, { name: "b" })];
    const { port, balancer } = await start(t, { nodes: [1] }, clock);
    await balancer.reload(configWith({ gone: { nodes: ports([a, b]), policy: "weighted-round-robin" } }));
    const client = await connectClient(t, port);
    await a.stop();
    assert.equal(await ask(client, "/gone"), "b");
    await balancer.reload(configWith({ other: { nodes: [1] } }));
    await eventually(() => b.connections === 0);
    assert.deepEqual(balancer.snapshot().nodes.length, 1);
  });
});

describe("another policy", () => {
  it("is taken on under load without an error, and with it other nodes", async (t) => {
    const nodes = ports(await startFunctionNodes(t, 3));
    const { port, balancer } = await start(t);
    const x = { nodes };
    await balancer.reload(configWith({ x }));
    let isOver = false;
    const statuses = new Set<number>();
    let calls = 0;
    const callers = Array.from({ length: 8 }, async (_, caller) => {
      const client = await connectClient(t, port);
      while (!isOver) {
        statuses.add((await client.ask(get(`/x/${caller}/${calls++}`))).status);
      }
    });
    for (const policy of [
      "maglev",
      "rendezvous",
      "weighted-round-robin",
      "least-loaded",
      "p2c-ewma",
      "random",
      "ring-hash",
    ] as const) {
      for (const change of [{}, { nodes: nodes.slice(1) }, { nodes: [...nodes].reverse() }]) {
        const before = calls;
        await balancer.reload(configWith({ x: { ...x, policy, ...change } }));
        await eventually(() => calls > before + 20);
      }
    }
    isOver = true;
    await Promise.all(callers);
    assert.deepEqual([...statuses], [200]);
    assert.deepEqual(
      balancer.snapshot().nodes.map(({ inFlight }) => inFlight),
      [0, 0, 0],
    );
  });
});

describe("another route", () => {
  it("counts from the next request on, also on an open connection", async (t) => {
    const [a, b] = ports(await startFunctionNodes(t, 2));
    const { port, balancer } = await start(t);
    const clusters = { a: { nodes: [a] }, b: { nodes: [b] } };
    await balancer.reload(configWith(clusters, { routes: [routeTo("a")] }));
    const client = await connectClient(t, port);
    assert.equal(await ask(client, "/x"), "a");
    await balancer.reload(
      configWith(clusters, { routes: [routeTo("b", { name: "x", path: "/x", stripsPrefix: true }), routeTo("a")] }),
    );
    const response = await client.ask(get("/x/y"));
    assert.deepEqual([response.json().node, response.json().target], ["b", "/y"]);
    assert.equal(await ask(client, "/z"), "a");
    await balancer.reload(configWith(clusters, { routes: [routeTo("a", { path: "/only" })] }));
    assert.equal((await client.ask(get("/x"))).status, 404);
    assert.equal(await ask(client, "/only"), "a");
  });

  it("is not taken by half of a head that came before", async (t) => {
    const [a, b] = ports(await startFunctionNodes(t, 2));
    const { port, balancer } = await start(t);
    const clusters = { a: { nodes: [a] }, b: { nodes: [b] } };
    await balancer.reload(configWith(clusters, { routes: [routeTo("a")] }));
    const client = await connectClient(t, port);
    await ask(client, "/x");
    client.send("GET /x HTTP/1.1\r\nHost: fn\r\nX-Long: ");
    await eventually(() => balancer.snapshot().counters.bytesIn > get("/x").length);
    await balancer.reload(configWith(clusters, { routes: [routeTo("b")], headBytesMax: 300 }));
    client.send("y\r\n\r\n");
    assert.equal((await client.response()).json().node, "b");
    client.send("GET /x HTTP/1.1\r\nHost: fn\r\nX-Long: ");
    client.send(`${"y".repeat(300)}\r\n\r\n`);
    assert.equal((await client.response()).status, 431);
  });
});

describe("listeners", () => {
  it("come and go; what they have accepted goes on", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const directory = makeDirectory(t);
    const [one, two] = [`${directory}/one`, `${directory}/two`];
    const x = { nodes: [node.port] };
    const { balancer, event } = await start(t, { nodes: [node.port], listeners: [atUnix(one)] });
    const early = await connectUnix(t, one);
    assert.ok(early);
    await event("listening");
    await balancer.reload(configWith({ x }, { listeners: [atUnix(one), atUnix(two)] }));
    assert.equal((await event("listening")).address, `unix:${two}`);
    const other = await connectUnix(t, two);
    assert.ok(other);
    assert.deepEqual([await ask(early, "/x"), await ask(other, "/x")], ["a", "a"]);
    await balancer.reload(configWith({ x }, { listeners: [atUnix(two)] }));
    assert.equal((await event("listener_closed")).address, `unix:${one}`);
    assert.equal(await connectUnix(t, one), undefined);
    assert.deepEqual([await ask(early, "/x"), await ask(other, "/x")], ["a", "a"]);
    assert.equal(balancer.snapshot().connections, 2);
  });

  it("take a PROXY header from now on at the address that they have", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const { port, balancer, config } = await start(t, { nodes: [node.port] });
    const x = { nodes: [node.port] };
    const [{ address }] = config.listeners;
    await balancer.reload(configWith({ x }));
    const plain = await connectClient(t, port);
    const routes = { listeners: [{ address, proxyProtocol: true }], trustedProxies: ["127.0.0.1"] };
    await balancer.reload(configWith({ x }, routes));
    const proxied = await connectClient(t, port);
    proxied.send("PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n");
    assert.deepEqual([await ask(plain, "/x"), await ask(proxied, "/x")], ["a", "a"]);
    const forwarded = node.calls.map(({ rawHeaders }) => rawHeaders[rawHeaders.indexOf("X-Forwarded-For") + 1]);
    assert.deepEqual(forwarded, ["127.0.0.1", "192.0.2.7"]);
    await balancer.reload(configWith({ x }));
    assert.equal(await ask(await connectClient(t, port), "/x"), "a");
  });

  it("that cannot be opened leave all as it was, and none half open", async (t) => {
    const [a, b] = ports(await startFunctionNodes(t, 2));
    const directory = makeDirectory(t);
    const { port, balancer, config, events } = await start(t);
    const before = configWith({ x: { nodes: [a], policy: "weighted-round-robin" } });
    await balancer.reload(before);
    const client = await connectClient(t, port);
    assert.equal(await ask(client, "/x"), "a");
    const snapshot = () => ({ ...balancer.snapshot(), counters: undefined, isConfigRefused: undefined });
    const was = snapshot();
    const logged = events.length;
    await assert.rejects(
      balancer.reload(
        configWith(
          { x: { nodes: [b] }, y: { nodes: [b] } },
          {
            listeners: [...config.listeners, atUnix(`${directory}/good`), atUnix(`${directory}/nowhere/bad`)],
            routes: [routeTo("y")],
            accessLog: `${directory}/access.log`,
            headFieldsMax: 1,
          },
        ),
      ),
      { code: "ERR_LISTEN" },
    );
    assert.deepEqual(snapshot(), was);
    assert.equal(await connectUnix(t, `${directory}/good`), undefined);
    assert.equal(existsSync(`${directory}/good`), false);
    assert.deepEqual(events.slice(logged), []);
    const body = "Content-Length: 2\r\n";
    client.send(`POST /x HTTP/1.1\r\nHost: fn\r\n${body}\r\nab`);
    assert.equal((await client.response("POST")).json().node, "a");
    assert.equal(readFileSync(`${directory}/access.log`, "utf8"), "");
    await balancer.reload(before);
  });
});

describe("the access log", () => {
  it("goes to another file, for requests that run and those of a removed cluster, too", async (t) => {
    const origin = await startRawOrigin(t);
    const directory = makeDirectory(t);
    const [one, two] = [`${directory}/one`, `${directory}/two`];
    const lines = (path: string) =>
      existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n").filter(Boolean) : [];
    const { port, balancer } = await start(t);
    const x = { nodes: [origin.port], nodeKeepAliveTimeoutMs: 0 };
    await balancer.reload(configWith({ x, gone: x }));
    const [quiet, stays, goes] = [
      await connectClient(t, port),
      await connectClient(t, port),
      await connectClient(t, port),
    ];
    const begin = async (client: RawClient, path: string) => {
      client.send(get(path));
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      return async () => {
        node.send(ok("x"));
        assert.equal((await client.response()).status, 200);
      };
    };
    const endQuiet = await begin(quiet, "/x/before-any-log");
    await balancer.reload(configWith({ x, gone: x }, { accessLog: one }));
    await endQuiet();
    const [endStays, endGoes] = [await begin(stays, "/x/stays"), await begin(goes, "/gone/goes")];
    await balancer.reload(configWith({ x }, { accessLog: two }));
    await endStays();
    await endGoes();
    await eventually(() => lines(two).length === 2);
    assert.deepEqual(
      lines(two).map((line) => JSON.parse(line).target),
      ["/x/stays", "/gone/goes"],
    );
    await balancer.reload(configWith({ x }));
    await (await begin(quiet, "/x/unlogged"))();
    assert.deepEqual([lines(one), lines(two).length], [[], 2]);
  });

  it("that cannot be opened leaves all as it was", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const { port, balancer } = await start(t, { nodes: [node.port] });
    await assert.rejects(balancer.reload(configWith({ x: { nodes: [1] } }, { accessLog: "/nowhere/at/all" })), {
      code: "ERR_OPTION",
    });
    assert.equal(await ask(await connectClient(t, port), "/x"), "a");
  });
});

describe("limits", () => {
  it("take effect with the next request, connection or tunnel", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const { port, balancer } = await start(t);
    const x = { nodes: [node.port] };
    await balancer.reload(configWith({ x }));
    const client = await connectClient(t, port);
    const post = async () =>
      (await client.ask("POST /x HTTP/1.1\r\nHost: fn\r\nContent-Length: 2\r\n\r\nab", "POST")).status;
    assert.equal(await post(), 200);
    await balancer.reload(
      configWith(
        { x: { ...x, bodyBytesMax: 1 } },
        { connectionsPerClientMax: 1, headFieldsMax: 3, targetBytesMax: 16 },
      ),
    );
    assert.equal((await client.ask(get("/x"))).status, 200);
    // Connections from before the limit are counted, too.
    const second = await connectClient(t, port);
    assert.equal((await second.response()).status, 429);
    assert.equal(await post(), 413);
    await client.log.untilEnd();
    client.end();
    await eventually(() => balancer.snapshot().connections === 0);
    const third = await connectClient(t, port);
    assert.equal((await third.ask(get("/x", "A: 1\r\nB: 2\r\nC: 3\r\n"))).status, 431);
    third.end();
    await eventually(() => balancer.snapshot().connections === 0);
    assert.equal((await (await connectClient(t, port)).ask(get(`/x/${"y".repeat(20)}`))).status, 414);
  });

  it("of nodes make room for who waits", async (t) => {
    const origin = await startRawOrigin(t);
    const { port, balancer, until } = await start(t);
    const x = { nodes: [origin.port], nodeConnectionsMax: 1, queueMax: 1 };
    await balancer.reload(configWith({ x }));
    const [first, second] = [await connectClient(t, port), await connectClient(t, port)];
    first.send(get("/x"));
    const one = await origin.accept();
    second.send(get("/x"));
    await until("one to wait", ({ queued }) => queued === 1);
    await balancer.reload(configWith({ x: { ...x, nodeConnectionsMax: 2 } }));
    const two = await origin.accept();
    for (const node of [one, two]) {
      await node.log.untilText("\r\n\r\n");
      node.send(ok("x"));
    }
    assert.deepEqual([(await first.response()).status, (await second.response()).status], [200, 200]);
  });
});

describe("reloads", () => {
  it("are made one after the other, and a bad one among them changes nothing", async (t) => {
    const [a, b] = ports(await startFunctionNodes(t, 2));
    const { port, balancer, events } = await start(t);
    const bad = configWith({
      x: { nodes: [b], requestHeaders: [{ action: "set", name: "Content-Length", value: "5" }] },
    });
    const outcomes = await Promise.allSettled([
      balancer.reload(configWith({ x: { nodes: [b] } })),
      balancer.reload(bad),
      balancer.reload(configWith({ x: { nodes: [a] }, y: { nodes: [b] } })),
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.equal((outcomes[1] as PromiseRejectedResult).reason.code, "ERR_OPTION");
    assert.match((outcomes[1] as PromiseRejectedResult).reason.message, /^cluster "x": option "request-header" must/);
    const client = await connectClient(t, port);
    assert.deepEqual([await ask(client, "/x"), await ask(client, "/y")], ["a", "b"]);
    assert.equal(names(events).filter((name) => name === "reloaded").length, 2);
  });

  it("are refused before the balancer listens, while it drains and when it is closed", async (t) => {
    const config = configWith({ x: { nodes: [1] } });
    const early = createBalancer(config, { log: { debug() {}, info() {}, warn() {}, error() {} } });
    await assert.rejects(early.reload(config), { code: "ERR_LISTEN" });
    await early.close();
    const origin = await startRawOrigin(t);
    const { port, balancer } = await start(t, { nodes: [origin.port] });
    const client = await connectClient(t, port);
    client.send(get("/x"));
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    const drained = balancer.drain();
    await assert.rejects(balancer.reload(config), { code: "ERR_LISTEN" });
    node.send(ok("x"));
    assert.equal((await client.response()).status, 200);
    client.end();
    assert.deepEqual(await drained, { cut: 0 });
    await assert.rejects(balancer.reload(config), { code: "ERR_LISTEN" });
  });

  for (const end of ["drain", "close"] as const)
    it(`that are overtaken by a ${end} are given up, and leave no listener behind`, async (t) => {
      const node = await startFunctionNode(t, { name: "a" });
      const directory = makeDirectory(t);
      const named = { id: "b:1", address: { kind: "tcp", host: "b", port: 1, basePath: "" }, weight: 1 } as const;
      const { balancer, config } = await startBalancer(
        t,
        { nodes: [node.port] },
        { resolve: () => new Promise(() => {}) },
      );
      const listeners = [...config.listeners, atUnix(`${directory}/s`)];
      const reloaded = balancer.reload(
        configWith({ default: { nodes: [node.port, named] }, y: { nodes: [named] } }, { listeners }),
      );
      const refused = assert.rejects(reloaded, { code: "ERR_LISTEN" });
      await balancer[end]();
      await refused;
      assert.equal(await connectUnix(t, `${directory}/s`), undefined);
    });

  it("over the same config change nothing", async (t) => {
    const [a] = ports(await startFunctionNodes(t, 1));
    const { port, balancer, events } = await start(t);
    const config = configWith({ x: { nodes: [a], policy: "least-loaded", checkPath: "/health" } }, { requestId: true });
    await balancer.reload(config);
    const client = await connectClient(t, port);
    await ask(client, "/x");
    const before = { ...balancer.snapshot(), counters: undefined };
    const logged = events.length;
    await balancer.reload(structuredClone(config));
    assert.deepEqual({ ...balancer.snapshot(), counters: undefined }, before);
    assert.deepEqual(names(events).slice(logged), ["reloaded"]);
  });
});
