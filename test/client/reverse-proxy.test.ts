import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import express from "express";
import Fastify from "fastify";
import { consistentHashReverseProxy, type ReverseProxyHandler } from "../../src/client/reverse-proxy.js";
import { startFunctionNodes } from "../support/function-node.js";
import { ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";

/** A handler over these ports, and where the server around it listens. */
type Host = (handler: ReverseProxyHandler) => Promise<{ readonly port: number; close(): Promise<unknown> }>;

async function listen(server: Server): Promise<{ readonly port: number; close(): Promise<unknown> }> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

const HOSTS: Readonly<Record<string, Host>> = {
  "node:http": (handler) => listen(createServer(handler)),
  Express: (handler) => listen(createServer(express().use(handler))),
  Fastify: async (handler) => {
    const app = Fastify();
    // The body is the proxy's to stream.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", (_request, _payload, done) => done(null));
    app.all("*", (request, reply) => {
      reply.hijack();
      handler(request.raw, reply.raw);
    });
    await app.listen({ port: 0, host: "127.0.0.1" });
    return { port: (app.server.address() as AddressInfo).port, close: () => app.close() };
  },
};

async function start(t: TestContext, host: Host, ports: readonly number[]) {
  const handler = consistentHashReverseProxy({ nodes: ports.map((port) => `127.0.0.1:${port}`) });
  const { port, close } = await host(handler);
  t.after(async () => {
    await close();
    await handler.roundTripper.destroy();
    assert.deepEqual(
      handler.roundTripper.nodes.map(({ inFlight }) => inFlight),
      ports.map(() => 0),
    );
  });
  return { port, handler };
}

describe("consistent hash reverse proxy", () => {
  for (const [name, host] of Object.entries(HOSTS)) {
    it(`keeps paths on their nodes, streams bodies and falls back, inside ${name}`, async (t) => {
      const nodes = await startFunctionNodes(t, 3);
      const { port } = await start(
        t,
        host,
        nodes.map((node) => node.port),
      );
      const client = await connectClient(t, port);
      const ask = async (path: string) => (await client.ask(`GET ${path} HTTP/1.1\r\nHost: fn.example\r\n\r\n`)).json();
      const homes = new Map<string, unknown>();
      for (let number = 0; number < 12; number++) homes.set(`/f${number}`, (await ask(`/f${number}?x=%2F;y`)).node);
      assert.ok(new Set(homes.values()).size > 1);
      for (const [path, home] of homes) assert.equal((await ask(path)).node, home);

      const body = randomBytes(300_000);
      client.send(
        `POST /upload HTTP/1.1\r\nHost: fn.example\r\nContent-Type: application/octet-stream\r\nContent-Length: ${body.length}\r\n\r\n`,
      );
      client.send(body);
      assert.equal((await client.response("POST")).json().bodyBytes, body.length);

      const [[path, home]] = homes;
      await nodes.find((node) => node.name === home)?.stop();
      const substitute = (await ask(path)).node;
      assert.notEqual(substitute, home);
      assert.equal((await ask(path)).node, substitute);
    });
  }

  it("drops fields of the hop, appends the client to X-Forwarded-For and keeps the rest as it came", async (t) => {
    const origin = await startRawOrigin(t, (peer) =>
      peer.socket.once("data", () => peer.send(ok("yes", "Keep-Alive: timeout=5\r\nX-Kept: 1\r\n"))),
    );
    const { port } = await start(t, HOSTS["node:http"], [origin.port]);
    const client = await connectClient(t, port);
    const response = await client.ask(
      "GET /a%2Fb HTTP/1.1\r\nHost: fn.example\r\nX-Forwarded-For: 9.9.9.9\r\nConnection: X-Gone\r\nX-Gone: 1\r\nTE: trailers\r\nX-Kept: 1\r\n\r\n",
    );
    assert.deepEqual(
      [response.header("x-kept"), response.header("keep-alive")?.includes("timeout=5") ?? false],
      ["1", true],
    );
    const { text } = origin.connections[0];
    assert.match(text, /^GET \/a%2Fb HTTP\/1\.1\r\n/);
    assert.match(text, /\r\nx-forwarded-for: 9\.9\.9\.9, 127\.0\.0\.1\r\n/i);
    assert.match(text, /\r\nhost: fn\.example\r\n/i);
    assert.match(text, /\r\nx-kept: 1\r\n/i);
    assert.doesNotMatch(text, /x-gone|\r\nte:/i);
  });

  it("answers 502 with a problem when all nodes are dead, and resets a client whose response breaks off", async (t) => {
    const origin = await startRawOrigin(
      t,
      (peer) =>
        void peer.socket.once("data", () => {
          peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
          peer.end();
        }),
    );
    const { port } = await start(t, HOSTS["node:http"], [origin.port]);
    const half = await connectClient(t, port);
    half.send("GET /half HTTP/1.1\r\nHost: fn\r\n\r\n");
    await half.log.untilEnd();
    assert.ok(half.text.length < 400 && !half.text.endsWith("\r\n\r\n"), "a part, and no end");
    await origin.stop();
    const client = await connectClient(t, port);
    const response = await client.ask("GET /f HTTP/1.1\r\nHost: fn\r\n\r\n");
    assert.deepEqual([response.status, response.json().code], [502, "ERR_NO_FALLBACK_NODE_FOUND"]);
  });

  it("frees the node when a client goes away", async (t) => {
    const origin = await startRawOrigin(t);
    const { port } = await start(t, HOSTS["node:http"], [origin.port]);
    const client = await connectClient(t, port);
    client.send("GET /long HTTP/1.1\r\nHost: fn\r\n\r\n");
    const peer = await origin.accept();
    await peer.log.untilText("\r\n\r\n");
    client.reset();
    await peer.log.untilEnd();
  });
});
