import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import express, { type ErrorRequestHandler } from "express";
import type { FallbackRoundTripperOptions } from "../../src/client/fallback-round-tripper.js";
import { consistentHashReverseProxy } from "../../src/client/reverse-proxy.js";
import { addressOf, type HasPort } from "../support/dispatcher.js";
import { startFunctionNode } from "../support/function-node.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";

async function start(t: TestContext, nodes: readonly HasPort[], options: Partial<FallbackRoundTripperOptions> = {}) {
  const handler = consistentHashReverseProxy({ nodes: nodes.map(addressOf), ...options });
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    await handler.roundTripper.destroy();
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
    assert.deepEqual(
      handler.roundTripper.nodes.map(({ inFlight }) => inFlight),
      nodes.map(() => 0),
    );
  });
  return { handler, port: (server.address() as AddressInfo).port };
}

describe("what a reverse proxy answers when it cannot", () => {
  const get = "GET /f HTTP/1.1\r\nHost: fn\r\n\r\n";
  const closing = (said: string) => (peer: Parameters<ReturnType<typeof answering>>[0]) =>
    void peer.socket.once("data", () => {
      peer.send(said);
      peer.end();
    });

  for (const [name, said, options, status, code] of [
    ["garbage", "SSH-2.0-x\r\n\r\n", {}, 502, "ERR_BAD_RESPONSE"],
    ["nothing", "", {}, 502, "ERR_NODE_CLOSED"],
    ["a head without end", `HTTP/1.1 200 OK\r\nX: ${"x".repeat(100_000)}`, {}, 502, "ERR_BAD_RESPONSE"],
  ] as const) {
    it(`says ${status} to a node that sends ${name}`, async (t) => {
      const node = await startRawOrigin(t, closing(said));
      const { port } = await start(t, [node], options);
      const client = await connectClient(t, port);
      const response = await client.ask(get);
      assert.deepEqual([response.status, response.json().code], [status, code]);
      assert.equal(response.header("content-type"), "application/problem+json");
    });
  }

  it("says 504 to a node that is too slow", async (t) => {
    const node = await startRawOrigin(t);
    const { port } = await start(t, [node], { responseTimeoutMs: 20, silenceMs: 0 });
    const response = await (await connectClient(t, port)).ask(get);
    assert.deepEqual([response.status, response.json().code], [504, "ERR_NODE_TIMEOUT"]);
  });

  it("says 503 with Retry-After when every node is at its limit, and when it is closed", async (t) => {
    const node = await startRawOrigin(t);
    const { port, handler } = await start(t, [node], { nodeConnectionsMax: 1 });
    const first = await connectClient(t, port);
    first.send(get);
    const peer = await node.accept();
    await peer.log.untilText("\r\n\r\n");
    const second = await connectClient(t, port);
    const full = await second.ask(get);
    assert.deepEqual([full.status, full.json().code, full.header("retry-after")], [503, "ERR_AT_CAPACITY", "1"]);
    const closed = handler.close();
    const late = await second.ask(get);
    assert.deepEqual([late.status, late.json().code, late.header("retry-after")], [503, "ERR_DRAINING", "1"]);
    peer.send(ok("at last"));
    assert.equal((await first.response()).body.toString(), "at last");
    await closed;
  });

  it("says 400 to a target that no node can be asked for", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const { port } = await start(t, [node]);
    const response = await (await connectClient(t, port)).ask("OPTIONS * HTTP/1.1\r\nHost: fn\r\n\r\n", "OPTIONS");
    assert.deepEqual([response.status, response.json().code], [400, "ERR_BAD_REQUEST"]);
  });

  it("throws for a body that somebody else has read, instead of asking a node without it", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const handler = consistentHashReverseProxy({ nodes: addressOf(node) });
    t.after(() => handler.close());
    const onError: ErrorRequestHandler = (error: Error, _request, response, _next) =>
      void response.status(500).send(error.name);
    const server = createServer(express().use(express.json(), handler, onError));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    const client = await connectClient(t, (server.address() as AddressInfo).port);
    const head = "POST /f HTTP/1.1\r\nHost: fn\r\nContent-Type: application/json\r\n";
    const read = await client.ask(`${head}Content-Length: 7\r\n\r\n{"a":1}`);
    assert.deepEqual([read.status, read.body.toString(), node.calls.length], [500, "AssertionError", 0]);
    const empty = await client.ask(`${head}Content-Length: 0\r\n\r\n`);
    assert.deepEqual([empty.status, empty.json().bodyBytes], [200, 0]);
  });

  it("gives a request up whose client goes away before a node has been reached, and blames nobody", async (t) => {
    const events: unknown[] = [];
    const note = ({ event }: { readonly event: string }) => events.push(event);
    const node = await startRawOrigin(t, answering(ok("yes")));
    const { port, handler } = await start(t, [node], { log: { debug: note, info: note, warn: note, error: note } });
    const client = await connectClient(t, port);
    client.send("POST /f HTTP/1.1\r\nHost: fn\r\nContent-Length: 10\r\n\r\nhalf");
    const peer = await node.accept();
    client.reset();
    await peer.log.untilEnd();
    await handler.close();
    assert.deepEqual(events, []);
  });
});
