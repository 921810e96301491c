import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { startBalancer } from "../support/balancer.js";
import { startFunctionNode } from "../support/function-node.js";
import { pathsOf } from "../support/paths.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { assertForwarded, startWire, type WireConfig } from "../support/wire.js";

const HEAD = "GET / HTTP/1.1\r\nHost: fn\r\n";
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const GOOD = `00-${TRACE}-00f067aa0ba902b7-01`;
const SENT = `Traceparent: ${GOOD}\r\nTracestate: fn=1\r\n`;
const NEW = /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[23]$/;
const CREATE = { traceparent: "create" } as const;

/** The trace fields that a node sees of each of these requests. */
async function tracesSeen(t: Parameters<typeof startWire>[0], config: WireConfig, requests: readonly string[]) {
  const { client, origin } = await startWire(t, config, { onConnection: answering(ok("answer")) });
  for (const request of requests) assert.equal((await client.ask(request)).status, 200);
  const heads = origin.connections.flatMap(({ text }) => text.split("\r\n\r\n").slice(0, -1));
  const valuesOf = (head: string, name: string) =>
    [...`${head}\r\n`.matchAll(new RegExp(`^${name}: *(.*?)\\r\\n`, "gim"))].map(([, value]) => value);
  return heads.map((head) => ({ parents: valuesOf(head, "traceparent"), states: valuesOf(head, "tracestate") }));
}

describe("traceparent", () => {
  it("passes as it comes, good or bad, one or two, and none is made", async (t) => {
    const odd = `traceparent: x\r\n${SENT}`;
    for (const fields of ["", SENT, odd]) {
      const wire = await startWire(t);
      await assertForwarded(wire, `${HEAD}${fields}\r\n`, HEAD + fields + wire.added());
    }
  });

  it("is removed with its tracestate where it is off", async (t) => {
    const wire = await startWire(t, { traceparent: "off" });
    await assertForwarded(wire, `${HEAD}${SENT}A: b\r\n\r\n`, `${HEAD}A: b\r\n${wire.added()}`);
  });

  it("that is good goes on untouched where traces are begun", async (t) => {
    const wire = await startWire(t, CREATE);
    await assertForwarded(wire, `${HEAD}${SENT}\r\n`, HEAD + SENT + wire.added());
  });

  it("is made for each request that has none", async (t) => {
    const seen = await tracesSeen(t, CREATE, [`${HEAD}\r\n`, `${HEAD}\r\n`, `${HEAD}Tracestate: fn=1\r\n\r\n`]);
    for (const { parents, states } of seen) {
      assert.equal(parents.length, 1);
      assert.match(parents[0], NEW);
      assert.deepEqual(states, [], "a state without its parent belongs to no trace");
    }
    assert.equal(new Set(seen.map(({ parents }) => parents[0])).size, 3);
  });

  for (const [what, fields] of [
    ["bad", SENT.replace(TRACE, "0".repeat(32))],
    ["empty", "traceparent:\r\nTracestate: fn=1\r\n"],
    ["one of two", SENT + SENT],
    ["one of two, the other bad", `${SENT}traceparent: x\r\n`],
    ["for this hop only", `${SENT}Connection: traceparent\r\n`],
  ]) {
    it(`that is ${what} begins a new trace, without the old state`, async (t) => {
      const [{ parents, states }] = await tracesSeen(t, CREATE, [`${HEAD}${fields}\r\n`]);
      assert.equal(parents.length, 1);
      assert.match(parents[0], NEW);
      assert.notEqual(parents[0].slice(3, 35), TRACE);
      assert.deepEqual(states, []);
    });
  }

  it("is marked as sampled as often as asked for", async (t) => {
    const requests = Array.from({ length: 20 }, () => `${HEAD}\r\n`);
    for (const [traceSampledShare, flags] of [
      [0, "02"],
      [1, "03"],
    ] as const) {
      const seen = await tracesSeen(t, { ...CREATE, traceSampledShare }, requests);
      assert.deepEqual(new Set(seen.map(({ parents }) => parents[0].slice(53))), new Set([flags]));
    }
  });

  it("goes with a request that is upgraded, and with the longest that may come", async (t) => {
    const wire = await startWire(t, CREATE);
    wire.client.send(`GET / HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    const node = await wire.origin.accept();
    await node.log.untilText("\r\n\r\n");
    assert.match(node.text, /\r\ntraceparent: 00-[0-9a-f-]{52}\r\n/);
    node.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert.equal((await wire.client.response()).status, 101);
  });

  it("is the same at every node that a request is sent to", async (t) => {
    const first = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.destroy()));
    const second = await startFunctionNode(t, { name: "b" });
    const { port, config } = await startBalancer(t, { ...CREATE, nodes: [first.port, second.port] });
    const client = await connectClient(t, port);
    const [path] = pathsOf(config.nodes, `127.0.0.1:${first.port}`, 1);
    assert.equal((await client.ask(`GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`)).status, 200);
    const at = second.calls[0].rawHeaders.indexOf("traceparent") + 1;
    assert.ok(first.connections[0].text.includes(`traceparent: ${second.calls[0].rawHeaders[at]}\r\n`));
  });

  it("leaves its trace id in the access log, received or made", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "fnlb-trace-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const accessLog = join(folder, "access.log");
    const wire = await startWire(t, { ...CREATE, accessLog }, { onConnection: answering(ok("answer")) });
    await wire.client.ask(`${HEAD}${SENT}\r\n`);
    await wire.client.ask(`${HEAD}\r\n`);
    await wire.balancer.close();
    const lines = readFileSync(accessLog, "utf8").trim().split("\n");
    const [received, made] = lines.map((line) => (JSON.parse(line) as { readonly traceId: string }).traceId);
    assert.equal(received, TRACE);
    assert.ok(wire.origin.connections[0].text.includes(`traceparent: 00-${made}-`));
  });

  it("is no header rule's where fnlb writes it itself", async (t) => {
    const rule = { action: "set", name: "Traceparent", value: GOOD } as const;
    const wire = await startWire(t, { requestHeaders: [rule] });
    await assertForwarded(wire, `${HEAD}\r\n`, `${HEAD}Traceparent: ${GOOD}\r\n${wire.added()}`);
    await assert.rejects(startWire(t, { ...CREATE, requestHeaders: [rule] }), { code: "ERR_OPTION" });
  });
});
