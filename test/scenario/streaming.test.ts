import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { WebSocket } from "undici";
import { startBalancer } from "../support/balancer.js";
import { startFunctionNode } from "../support/function-node.js";
import { ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";

describe("streaming", () => {
  it("FA12: delivers each event of a stream before the response ends", async (t) => {
    const steps: (() => void)[] = [];
    const node = await startFunctionNode(t, {
      name: "a",
      answer(_request, response) {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.flushHeaders();
        steps.push(
          () => response.write("data: one\n\n"),
          () => response.end("data: two\n\n"),
        );
      },
    });
    const { port } = await startBalancer(t, { nodes: [node.port] });
    const client = await connectClient(t, port);
    client.send("GET /events HTTP/1.1\r\nHost: fn\r\n\r\n");
    await client.log.untilText("\r\n\r\n");
    steps[0]();
    await client.log.untilText("data: one");
    assert.ok(!client.text.includes("two"));
    steps[1]();
    assert.equal((await client.response()).body.toString(), "data: one\n\ndata: two\n\n");
  });

  it("delivers a request body while it is being sent", async (t) => {
    const origin = await startRawOrigin(t);
    const { port } = await startBalancer(t, { nodes: [origin.port] });
    const client = await connectClient(t, port);
    client.send("POST /upload HTTP/1.1\r\nHost: fn\r\nContent-Length: 10\r\n\r\nfirst");
    const node = await origin.accept();
    await node.log.untilText("first");
    client.send("later");
    await node.log.untilText("later");
    node.send(ok("done"));
    assert.equal((await client.response("POST")).status, 200);
  });

  it("FA12: ends the node's work when the client goes away", async (t) => {
    let isAborted = () => {};
    const aborted = new Promise<void>((resolve) => {
      isAborted = resolve;
    });
    const node = await startFunctionNode(t, {
      name: "a",
      onHead(request, response) {
        response.writeHead(200).write("x");
        request.socket.once("close", isAborted);
        return true;
      },
    });
    const { port } = await startBalancer(t, { nodes: [node.port] });
    const client = await connectClient(t, port);
    client.send("GET /long HTTP/1.1\r\nHost: fn\r\n\r\n");
    await client.log.untilText("x");
    client.reset();
    await aborted;
  });
});

describe("websocket", () => {
  it("FA12: talks through a tunnel with a client that is not ours", async (t) => {
    // A server of single-frame text messages: accepts (RFC 6455 §4.2.2) and echoes in upper case.
    const server = createServer();
    server.on("upgrade", (request, socket) => {
      const accept = createHash("sha1")
        .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest("base64");
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      socket.on("data", (frame: Buffer) => {
        if ((frame[0] & 0x0f) !== 1) {
          socket.end();
          return;
        }
        const length = frame[1] & 0x7f;
        const mask = frame.subarray(2, 6);
        const text = Buffer.from(frame.subarray(6, 6 + length).map((byte, index) => byte ^ mask[index % 4])).toString();
        socket.write(Buffer.concat([Buffer.from([0x81, length]), Buffer.from(text.toUpperCase())]));
      });
      socket.on("error", () => socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => new Promise((resolve) => server.close(resolve)));
    const { port, balancer, until } = await startBalancer(t, { nodes: [(server.address() as AddressInfo).port] });
    const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`);
    const answer = new Promise((resolve, reject) => {
      socket.addEventListener("open", () => socket.send("hello"));
      socket.addEventListener("message", ({ data }) => resolve(data));
      socket.addEventListener("error", reject);
    });
    assert.equal(await answer, "HELLO");
    assert.deepEqual([balancer.snapshot().tunnels, balancer.snapshot().nodes[0].inFlight], [1, 1]);
    socket.close();
    await until("the tunnel to close", ({ tunnels, nodes }) => tunnels === 0 && nodes[0].inFlight === 0);
  });
});
