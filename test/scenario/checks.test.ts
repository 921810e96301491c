import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { NodeConfig } from "../../src/config/config.js";
import { type FlatConfig, localNode, oneCluster, startBalancer, type TestConfig } from "../support/balancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { type FunctionNode, startFunctionNode } from "../support/function-node.js";
import { startGatedNode } from "../support/gated-node.js";
import { type MoodyNode, startMoodyNode, startMoodyNodes } from "../support/moody-node.js";
import { pathThrough } from "../support/paths.js";
import { connectClient } from "../support/raw-peer.js";
import { assertProblem } from "../support/wire.js";

const get = (path: string, fields = "") => `GET ${path} HTTP/1.1\r\nHost: fn\r\n${fields}\r\n`;
const TICK_MS = 25;
/** Time stands still but for what a test lets pass: a busy machine makes no check late. */
const CHECKS = { checkPath: "/health", checkIntervalMs: 1000, checkTimeoutMs: 60_000 };

/** How many calls but checks a node has had. */
const served = (node: FunctionNode) => node.calls.filter(({ target }) => target !== "/health").length;
const checked = (node: FunctionNode) => node.calls.length - served(node);

async function start(t: TestContext, nodes: readonly FunctionNode[], config: Partial<TestConfig> = {}) {
  const clock = new FakeClock();
  const started = await startBalancer(
    t,
    { nodes: nodes.map(({ port }) => port), policy: "weighted-round-robin", ...CHECKS, ...config },
    { clock, random: () => 0.5 },
  );
  const client = await connectClient(t, started.port);
  /** Lets time pass until so many more checks have ended: one of each node. */
  const round = async (count = started.config.nodes.length) => {
    const { checks } = started.balancer.snapshot().counters;
    while (started.balancer.snapshot().counters.checks < checks + count) await clock.advance(TICK_MS);
  };
  const ask = (path = "/f", fields = "") => client.ask(get(path, fields));
  const verdicts = () => started.balancer.snapshot().nodes.map(({ check }) => check);
  return { ...started, clock, client, round, ask, verdicts };
}

describe("checks and traffic", () => {
  it("FB7: let listen wait for the first verdicts, so that nobody is refused or sent to a node that fails", async (t) => {
    const [good, bad] = await startMoodyNodes(t, 2);
    bad.status = 500;
    const { ask, verdicts, balancer } = await start(t, [good, bad]);
    assert.deepEqual(verdicts(), ["passing", "failing"]);
    for (let number = 0; number < 6; number++) assert.equal((await ask()).body.toString(), "a");
    assert.equal(served(bad), 0);
    const { counters } = balancer.snapshot();
    assert.deepEqual([counters.checks, counters.checksFailed], [2, 1]);
  });

  it("let listen wait no longer than two seconds; a verdict that comes later counts then", async (t) => {
    const good = await startMoodyNode(t, "good");
    const slow = await startGatedNode(t, "slow");
    const clock = new FakeClock();
    let isListening = false;
    const starting = startBalancer(
      t,
      { nodes: [good.port, slow.port], policy: "weighted-round-robin", ...CHECKS },
      { clock },
    ).then((started) => {
      isListening = true;
      return started;
    });
    const call = await slow.next();
    await clock.advance(1900);
    assert.equal(isListening, false);
    await clock.advance(200);
    const { port, balancer, event } = await starting;
    const client = await connectClient(t, port);
    for (let number = 0; number < 4; number++) assert.equal((await client.ask(get("/f"))).body.toString(), "good");
    assert.deepEqual(
      balancer.snapshot().nodes.map(({ check }) => check),
      ["passing", "unknown"],
    );
    call.answer();
    for (;;) if ((await event("node_passing")).node === slow.address) break;
    client.send(get("/f"));
    client.send(get("/f"));
    const next = await slow.next();
    assert.equal(next.target, "/f");
    next.answer();
    for (let number = 0; number < 2; number++) assert.equal((await client.response()).status, 200);
  });

  it("FB9: take a node out at the second failed check in a row, and back at the first passed one", async (t) => {
    const nodes = await startMoodyNodes(t, 2);
    const [a, b] = nodes;
    const { ask, round, verdicts, event } = await start(t, nodes);
    b.status = 500;
    await round();
    assert.equal(checked(b), 2);
    assert.deepEqual(verdicts(), ["passing", "passing"], "one failed check keeps it in");
    b.status = 200;
    await round();
    b.status = 500;
    await round();
    assert.deepEqual(verdicts(), ["passing", "passing"], "a passed one has forgiven it");
    await round();
    const failing = await event("node_failing");
    assert.deepEqual([failing.node, failing.reason], [b.address, "status 500"]);
    const before = served(b);
    for (let number = 0; number < 4; number++) assert.equal((await ask()).body.toString(), "a");
    assert.equal(served(b), before);
    b.status = 200;
    await round();
    assert.deepEqual(verdicts(), ["passing", "passing"]);
    for (let number = 0; number < 4; number++) await ask();
    assert.equal(served(b), before + 2);
    assert.ok(served(a) > 0);
  });

  it("FB9: take a node out that answers later than the timeout of a check", async (t) => {
    const slow = await startGatedNode(t, "slow");
    const good = await startMoodyNode(t, "good");
    const clock = new FakeClock();
    const limits = { ...CHECKS, checkTimeoutMs: 500 };
    const starting = startBalancer(t, { nodes: [good.port, slow.port], ...limits }, { clock });
    await slow.next();
    await clock.advance(600);
    const { event } = await starting;
    const { node, reason } = await event("node_failing");
    assert.deepEqual([node, reason], [slow.address, "timeout"]);
  });

  it("FB16: answer 503 with Retry-After at once when none passes, with a body that says so, and dial nobody", async (t) => {
    const nodes = await startMoodyNodes(t, 2);
    for (const node of nodes) node.status = 500;
    const { ask, balancer } = await start(t, nodes);
    const response = await ask();
    assertProblem(response, 503, "ERR_NO_HEALTHY_NODE");
    assert.deepEqual(
      [response.header("retry-after"), response.json().detail, response.header("connection")],
      ["1", "no node is healthy", undefined],
    );
    const { counters } = balancer.snapshot();
    assert.deepEqual([counters.attempts, counters.dials, counters.requestsWithoutHealthyNode], [0, 0, 1]);
    assert.deepEqual(nodes.map(served), [0, 0]);
  });

  it("FB16: refuse at once although the cluster is full and has a queue, if nobody in it could serve", async (t) => {
    const slow = await startGatedNode(t, "slow", {
      onHead(request, response) {
        if (request.url !== "/health") return false;
        response.statusCode = isIll ? 500 : 200;
        response.end();
        return true;
      },
    });
    let isIll = false;
    const { client, port, round, event, ask, until } = await start(t, [slow], {
      clusterConnectionsMax: 1,
      queueMax: 5,
      queueTimeoutMs: 60_000,
      checkUnhealthyThreshold: 1,
    });
    client.send(get("/running"));
    const call = await slow.next();
    const waiting = await connectClient(t, port);
    waiting.send(get("/waiting"));
    await until("it to wait", ({ queued }) => queued === 1);
    isIll = true;
    await round();
    await event("node_failing");
    assertProblem(await waiting.response(), 503, "ERR_NO_HEALTHY_NODE");
    assertProblem(await waiting.ask(get("/late")), 503, "ERR_NO_HEALTHY_NODE");
    call.answer();
    assert.equal((await client.response()).status, 200, "what runs at a failing node goes on");
    assertProblem(await ask(), 503, "ERR_NO_HEALTHY_NODE");
  });

  it("FB17: leave a node that dies between two checks to the request that meets it, which is served elsewhere", async (t) => {
    const nodes = await startMoodyNodes(t, 2);
    const { round, client, config, verdicts, event } = await start(t, nodes, { policy: "ring-hash" });
    const [gone] = nodes;
    const path = pathThrough(config.nodes, [gone.address, nodes[1].address]);
    await gone.stop();
    const body = "paid once";
    const post = `POST ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const response = await client.ask(post, "POST");
    assert.deepEqual([response.status, response.body.toString()], [200, "b"]);
    assert.equal(nodes[1].calls.at(-1)?.bodyBytes, body.length);
    assert.deepEqual(verdicts(), ["passing", "passing"], "no check has seen it yet");
    await round();
    await round();
    const { reason } = await event("node_failing");
    assert.equal(reason, "refused");
    await gone.start();
    await round();
    await round();
    assert.deepEqual(verdicts(), ["passing", "passing"]);
    assert.equal((await client.ask(get(path))).body.toString(), "a");
  });

  it("FB10: keep nodes out whose version is too low or none, and go on", async (t) => {
    const answers: Readonly<Record<string, string>> = {
      old: '{"version":"0.0.234"}',
      garbled: "no json {",
      none: '{"version":"latest"}',
      nothing: "",
      list: "[]",
      right: '{"version":"0.0.235"}',
      newer: '{"version":"1.0.0-rc.1"}',
    };
    const nodes = await Promise.all(
      Object.entries(answers).map(([name, text]) =>
        startFunctionNode(t, {
          name,
          onHead(request, response) {
            if (request.url !== "/version") return false;
            response.statusCode = name === "right" ? 418 : 200;
            response.end(text);
            return true;
          },
        }),
      ),
    );
    const { ask, events } = await start(t, nodes, {
      checkPath: "/version",
      checkMinVersion: "0.0.235",
      checkStatuses: [[100, 599]],
    });
    const asked = new Set<unknown>();
    for (let number = 0; number < 8; number++) asked.add((await ask()).json().node);
    assert.deepEqual(asked, new Set(["right", "newer"]));
    const reasons = events.filter(({ event }) => event === "node_failing").map(({ node, reason }) => [node, reason]);
    assert.deepEqual(
      new Map(reasons as [string, string][]),
      new Map(
        nodes
          .slice(0, 5)
          .map(({ address }, index) => [
            address,
            ["version 0.0.234", "not JSON", "no version", "not JSON", "no version"][index],
          ]),
      ),
    );
  });

  it("look for a text, ask with a host and a method of their own, and below the node's base path", async (t) => {
    const seen: string[] = [];
    const node = await startFunctionNode(t, {
      name: "node",
      onHead(request, response) {
        if (request.headers["user-agent"] !== "fnlb-check") return false;
        seen.push(`${request.method} ${request.url} ${request.headers.host} ${request.headers.connection}`);
        response.end("all is well here");
        return true;
      },
    });
    const based: NodeConfig = {
      id: `${node.address}/base`,
      address: { kind: "tcp", host: "127.0.0.1", port: node.port, basePath: "/base" },
      weight: 1,
    };
    const text = await start(t, [], { nodes: [based], checkBody: "is well", checkPath: "/health?deep=1" });
    assert.deepEqual(text.verdicts(), ["passing"]);
    const missing = await start(t, [], { nodes: [based], checkBody: "is ill" });
    assert.deepEqual(missing.verdicts(), ["failing"]);
    assert.equal((await missing.event("node_failing")).reason, "body");
    const head = await start(t, [], { nodes: [based], checkMethod: "HEAD", checkHost: "inner.example" });
    assert.deepEqual(head.verdicts(), ["passing"]);
    assert.deepEqual(seen, [
      `GET /base/health?deep=1 ${node.address} close`,
      `GET /base/health ${node.address} close`,
      "HEAD /base/health inner.example close",
    ]);
  });

  it("make sticky clients leave a failing node, one of weight 0 that keeps its clients otherwise too", async (t) => {
    const [home, other] = await startMoodyNodes(t, 2);
    const drained = { ...localNode(home.port), weight: 0 };
    const { ask, round, event } = await start(t, [], {
      nodes: [drained, localNode(other.port)],
      stickyCookie: "fnlb",
      stickyCodecs: ["raw"],
      checkUnhealthyThreshold: 1,
    });
    const cookie = `Cookie: fnlb=http://${home.address}\r\n`;
    assert.equal((await ask("/f", cookie)).body.toString(), "a");
    assert.equal((await ask()).body.toString(), "b", "newcomers do not go there");
    home.status = 500;
    await round();
    await event("node_failing");
    const moved = await ask("/f", cookie);
    assert.equal(moved.body.toString(), "b");
    assert.match(moved.header("set-cookie") ?? "", new RegExp(other.address));
  });

  it("do not let a dead node be dialled as the last resort while its checks fail", async (t) => {
    const [gone, ill] = await startMoodyNodes(t, 2);
    const { ask, round, verdicts, balancer, event } = await start(t, [gone, ill], {
      checkUnhealthyThreshold: 1,
      pingIntervalMs: 60_000,
    });
    await gone.stop();
    await ask();
    await ask();
    assert.equal((await event("node_dead")).node, gone.address);
    ill.status = 500;
    await round();
    assert.deepEqual(verdicts(), ["failing", "failing"]);
    const { dials } = balancer.snapshot().counters;
    assertProblem(await ask(), 503, "ERR_NO_HEALTHY_NODE");
    await ill.stop();
    await round();
    assertProblem(await ask(), 503, "ERR_NO_HEALTHY_NODE");
    assert.equal(balancer.snapshot().counters.dials, dials);
  });

  it("bring a node back slowly with --slow-start, and have all at once at the start", async (t) => {
    const nodes = await startMoodyNodes(t, 2);
    const { ask, round, event } = await start(t, nodes, {
      policy: "ring-hash",
      slowStartMs: 60_000,
      checkUnhealthyThreshold: 1,
    });
    /** Of a hundred keys, those that the second node serves. */
    const shareOf = async () => {
      const before = served(nodes[1]);
      for (let number = 0; number < 100; number++) await ask(`/f${number}`);
      return served(nodes[1]) - before;
    };
    const share = await shareOf();
    assert.ok(share > 25, `${share} of 100`);
    nodes[1].status = 500;
    await round();
    await event("node_failing");
    nodes[1].status = 200;
    await round();
    const young = await shareOf();
    assert.ok(young > 0 && young < share / 2, `${young} of ${share}`);
  });
});

describe("checks and reloads", () => {
  const withNodes = (config: FlatConfig, nodes: readonly MoodyNode[], more: Partial<FlatConfig> = {}) =>
    oneCluster({ ...config, ...more, nodes: nodes.map(({ port }) => localNode(port)) });

  it("FB7: send a node that a reload adds nothing before its first passed check", async (t) => {
    const old = await startMoodyNode(t, "old");
    const added = await startGatedNode(t, "added");
    const { ask, balancer, config, clock, verdicts, until } = await start(t, [old]);
    const reloaded = balancer.reload(oneCluster({ ...config, nodes: [localNode(old.port), localNode(added.port)] }));
    const call = await added.next();
    assert.equal(call.target, "/health");
    for (let number = 0; number < 6; number++) assert.equal((await ask()).body.toString(), "old");
    assert.deepEqual(verdicts(), ["passing"], "the new config waits for the first verdict");
    await clock.advance(2000);
    await reloaded;
    for (let number = 0; number < 6; number++) assert.equal((await ask()).body.toString(), "old");
    assert.deepEqual(verdicts(), ["passing", "unknown"], "but no longer than two seconds");
    call.answer();
    await until("the verdict", ({ nodes }) => nodes[1].check === "passing");
    const first = ask();
    const second = first.then(() => ask());
    const served = await added.next();
    assert.equal(served.target, "/f");
    served.answer();
    await second;
  });

  it("check a node no more that a reload removes, and none when they are turned off", async (t) => {
    const nodes = await startMoodyNodes(t, 2);
    const { balancer, config, clock, round, verdicts, ask } = await start(t, nodes);
    await balancer.reload(withNodes(config, [nodes[0]]));
    const [kept, removed] = nodes.map(checked);
    for (let number = 0; number < 3; number++) await round(1);
    assert.deepEqual(nodes.map(checked), [kept + 3, removed]);
    nodes[0].status = 500;
    await round(1);
    await round(1);
    assert.deepEqual(verdicts(), ["failing"]);
    await balancer.reload(withNodes(config, [nodes[0]], { checkPath: "" }));
    assert.deepEqual(verdicts(), ["off"]);
    const off = checked(nodes[0]);
    assert.equal((await ask()).status, 500, "nothing keeps it out any more");
    await clock.advance(3000);
    assert.equal(checked(nodes[0]), off);
  });

  it("keep traffic on the nodes until their first verdict when they are turned on", async (t) => {
    const [ill, well] = await startMoodyNodes(t, 2);
    const { balancer, config, verdicts, ask, event } = await start(t, [ill, well], { checkPath: "" });
    assert.deepEqual(verdicts(), ["off", "off"]);
    ill.status = 500;
    await balancer.reload(withNodes(config, [ill, well], CHECKS));
    assert.deepEqual(verdicts(), ["off", "off"]);
    const statuses = [(await ask()).status, (await ask()).status];
    assert.deepEqual(statuses.sort(), [200, 500], "both still serve");
    assert.equal((await event("node_failing")).node, ill.address);
    await event("node_passing");
    assert.deepEqual(verdicts(), ["failing", "passing"]);
    assert.equal((await ask()).status, 200);
  });

  it("take a new interval and new thresholds over, and what they knew with them", async (t) => {
    const nodes = await startMoodyNodes(t, 2);
    const { balancer, config, clock, verdicts, round, until } = await start(t, nodes);
    const checks = (count: number) => until(`${count} checks`, ({ counters }) => counters.checks === count);
    nodes[1].status = 500;
    const slower = { checkIntervalMs: 10_000, checkUnhealthyThreshold: 3 };
    await balancer.reload(withNodes(config, nodes, slower));
    await checks(4);
    assert.deepEqual(verdicts(), ["passing", "passing"], "one failed check behind a reload is one failed check");
    await clock.advance(9000);
    await checks(4);
    await round();
    assert.deepEqual(verdicts(), ["passing", "passing"]);
    await round();
    assert.deepEqual(verdicts(), ["passing", "failing"]);
    nodes[1].status = 200;
    await balancer.reload(withNodes(config, nodes, { ...slower, checkHealthyThreshold: 2 }));
    await checks(10);
    assert.deepEqual(
      verdicts(),
      ["passing", "failing"],
      "nor does one passed check bring it back if two are asked for",
    );
    await round();
    assert.deepEqual(verdicts(), ["passing", "passing"]);
  });
});
