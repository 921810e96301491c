import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import {
  consistentHashReverseProxy,
  type OutgoingRequest,
  type ReverseProxyOptions,
} from "../../src/client/reverse-proxy.js";
import { startFunctionNodes } from "../support/function-node.js";
import { startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawPeer } from "../support/raw-peer.js";

const get = (path: string, fields = "") => `GET ${path} HTTP/1.1\r\nHost: fn\r\n${fields}\r\n`;

/** A server around the handler, and a client in front of it. */
async function start(t: TestContext, ports: readonly number[], hooks: Omit<ReverseProxyOptions, "nodes">) {
  const handler = consistentHashReverseProxy({ nodes: ports.map((port) => `127.0.0.1:${port}`), ...hooks });
  const thrown: unknown[] = [];
  const server = createServer((request, response) => {
    try {
      handler(request, response);
    } catch (error) {
      thrown.push(error);
      response.writeHead(500).end("thrown");
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
    await handler.roundTripper.destroy();
  });
  const { port } = server.address() as AddressInfo;
  return { handler, thrown, client: await connectClient(t, port) };
}

const mute = (peer: RawPeer) => void peer.socket.once("data", () => peer.destroy());

describe("O7: a rewrite hook of the reverse proxy", () => {
  it("is called once per request with what came and what goes, and changes only that", async (t) => {
    const [node] = await startFunctionNodes(t, 1);
    const calls: (readonly [OutgoingRequest, IncomingMessage, string])[] = [];
    const { client } = await start(t, [node.port], {
      rewrite(outgoing, received) {
        calls.push([structuredClone(outgoing), received, String(received.url)]);
        outgoing.path = outgoing.path.replace("/public", "/private");
        outgoing.headers = outgoing.headers.filter(([name]) => name.toLowerCase() !== "cookie");
        outgoing.headers.push(["X-Env", "prod"], ["X-Env", "eu"]);
      },
    });
    const response = await client.ask(
      get("/public/f?q=%2F", "Cookie: a=b\r\nX-Kept: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"),
    );
    assert.equal(response.json().target, "/private/f?q=%2F");
    const { rawHeaders } = node.calls[0];
    const values = (wanted: string) =>
      rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1].toLowerCase() === wanted);
    assert.deepEqual(["x-env", "x-kept", "cookie", "x-hop", "host"].map(values), [
      ["prod", "eu"],
      ["1"],
      [],
      [],
      ["fn"],
    ]);
    assert.equal(calls.length, 1);
    const [[outgoing, received, url]] = calls;
    assert.deepEqual([outgoing.method, outgoing.path, url, received.url], ["GET", ...Array(3).fill("/public/f?q=%2F")]);
    assert.ok(outgoing.headers.some(([name, value]) => name === "X-Forwarded-For" && value === "127.0.0.1"));
    assert.ok(!outgoing.headers.some(([name]) => name.toLowerCase() === "x-hop"));
  });

  it("is called once, however many nodes are tried, and all of them get the same", async (t) => {
    const bad = await Promise.all([startRawOrigin(t, mute), startRawOrigin(t, mute)]);
    const [good] = await startFunctionNodes(t, 1);
    let calls = 0;
    const { client } = await start(t, [...bad.map(({ port }) => port), good.port], {
      rewrite(outgoing) {
        calls++;
        outgoing.path = `/rewritten${calls}`;
      },
    });
    // Wherever the ports of the three put them on the ring, some of so many belong to the two.
    const paths = Array.from({ length: 50 }, (_, number) => `/rewritten${number + 1}`);
    for (const path of paths) assert.equal((await client.ask(get("/same"))).json().target, path);
    assert.equal(calls, paths.length);
    // A node that keeps closing is also asked whether it answers at all, by OPTIONS *.
    const texts = bad.flatMap(({ connections }) => connections.map(({ text }) => text));
    const asked = texts.filter((text) => text.startsWith("GET ")).map((text) => text.split(" ")[1]);
    assert.ok(asked.length > 0 && asked.every((path) => paths.includes(path)));
  });

  it("decides by its path which node is asked", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const rewrite = (outgoing: OutgoingRequest) => {
      outgoing.path = "/one";
    };
    const { client } = await start(
      t,
      nodes.map(({ port }) => port),
      { rewrite },
    );
    const answered = new Set<unknown>();
    for (let number = 0; number < 12; number++) answered.add((await client.ask(get(`/f${number}`))).json().node);
    assert.equal(answered.size, 1);
  });

  it("throws to whoever called the handler, and no node is asked", async (t) => {
    const [node] = await startFunctionNodes(t, 1);
    const error = new TypeError("no such tenant");
    const { client, thrown } = await start(t, [node.port], {
      rewrite() {
        throw error;
      },
    });
    assert.equal((await client.ask(get("/f"))).body.toString(), "thrown");
    assert.deepEqual([thrown, node.headsSeen], [[error], 0]);
  });
});

describe("O7: an error hook of the reverse proxy", () => {
  it("answers in place of the problem, with the error and its code", async (t) => {
    const errors: unknown[] = [];
    const { client } = await start(t, [1], {
      onError(error, received, response) {
        errors.push(error);
        response.writeHead(599, { "X-For": String(received.url), "Content-Length": 5 }).end("sorry");
      },
    });
    for (let number = 0; number < 2; number++) {
      const response = await client.ask(get("/f"));
      assert.deepEqual([response.status, response.header("x-for"), `${response.body}`], [599, "/f", "sorry"]);
    }
    assert.deepEqual(
      errors.map((error) => (error as NodeJS.ErrnoException).code),
      ["ERR_NO_FALLBACK_NODE_FOUND", "ERR_NO_FALLBACK_NODE_FOUND"],
    );
  });

  it("answers a POST that a node has read and not answered, whose body is then read to its end", async (t) => {
    const bad = await startRawOrigin(t, mute);
    const { client } = await start(t, [bad.port], {
      onError: (_error, _received, response) => void response.writeHead(502, { "Content-Length": 4 }).end("lost"),
    });
    client.send(`POST /f HTTP/1.1\r\nHost: fn\r\nContent-Length: 10\r\n\r\nfirst`);
    await (await bad.accept()).log.untilText("first");
    assert.equal((await client.response("POST")).body.toString(), "lost");
    client.send(`later${get("/next")}`);
    assert.equal((await client.response()).body.toString(), "lost");
  });

  it("is not asked when a response has begun: the client is reset", async (t) => {
    let calls = 0;
    const origin = await startRawOrigin(t, (peer) => {
      peer.socket.once("data", () => peer.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"));
    });
    const { client } = await start(t, [origin.port], { onError: () => calls++ });
    client.send(get("/half"));
    await client.log.untilEnd();
    assert.equal(calls, 0);
  });

  it("is not asked when the client has gone", async (t) => {
    let calls = 0;
    const origin = await startRawOrigin(t);
    const { client } = await start(t, [origin.port], { onError: () => calls++ });
    client.send(get("/long"));
    const peer = await origin.accept();
    await peer.log.untilText("\r\n\r\n");
    client.reset();
    await peer.log.untilEnd();
    assert.equal(calls, 0);
  });
});
