import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RawPeer } from "../support/raw-peer.js";
import { startWire, type Wire, type WireConfig } from "../support/wire.js";

const HEAD = "HTTP/1.1 200 OK\r\nX: y\r\n";

async function started(
  t: Parameters<typeof startWire>[0],
  sockets: "fast" | "plain",
  version = "1.1",
  config: WireConfig = {},
): Promise<Wire & { readonly node: RawPeer }> {
  const wire = await startWire(t, config, { dependencies: { sockets } });
  wire.client.send(`GET / HTTP/${version}\r\nHost: fn\r\n\r\n`);
  const node = await wire.origin.accept();
  await node.log.untilText("\r\n\r\n");
  return { ...wire, node };
}

for (const sockets of ["fast", "plain"] as const) {
  describe(`a response that ends with its connection, on ${sockets} sockets`, () => {
    it("reaches an HTTP/1.1 client in chunks, and the client's connection goes on", async (t) => {
      const { client, node, origin, balancer } = await started(t, sockets);
      node.send(`${HEAD}\r\nhello`);
      await client.log.untilText("hello\r\n");
      node.send(" wörld");
      await client.log.untilText("rld\r\n");
      node.end();
      await client.log.untilText("0\r\n\r\n");
      assert.equal(client.text, `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n w\xf6rld\r\n0\r\n\r\n`);
      await node.log.untilEnd();
      client.log.drop(client.log.bytes.length);
      client.send("GET /next HTTP/1.1\r\nHost: fn\r\n\r\n");
      const second = await origin.accept();
      await second.log.untilText("/next");
      assert.equal(balancer.snapshot().counters.connectionsAccepted, 1);
    });

    it("may have no body at all", async (t) => {
      const { client, node } = await started(t, sockets);
      node.send(`${HEAD}\r\n`);
      node.end();
      await client.log.untilText("0\r\n\r\n");
      assert.equal(client.text, `${HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`);
    });

    it("may come from an HTTP/1.0 node, with its end in the same segment", async (t) => {
      const { client, node } = await started(t, sockets);
      node.socket.end("HTTP/1.0 200 Fine\r\nX: y\r\n\r\nhello");
      await client.log.untilText("0\r\n\r\n");
      assert.equal(
        client.text,
        "HTTP/1.1 200 Fine\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      );
    });

    it("reaches an HTTP/1.0 client as it came, and closes", async (t) => {
      const { client, node } = await started(t, sockets, "1.0");
      node.send(`${HEAD}\r\nhello`);
      await client.log.untilText("hello");
      node.socket.end(" world");
      await client.log.untilEnd();
      assert.equal(client.text, `${HEAD}Connection: close\r\n\r\nhello world`);
      client.end();
      await client.log.untilClosed();
      assert.equal(client.log.errorCode, undefined);
    });

    it("closes after its last chunk when the client asked for that", async (t) => {
      const { client, origin } = await startWire(t, {}, { dependencies: { sockets } });
      client.send("GET / HTTP/1.1\r\nHost: fn\r\nConnection: close\r\n\r\n");
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      node.socket.end(`${HEAD}\r\nhello`);
      await client.log.untilEnd();
      const head = `${HEAD}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n`;
      assert.equal(client.text, `${head}5\r\nhello\r\n0\r\n\r\n`);
    });

    for (const version of ["1.1", "1.0"]) {
      for (const [when, cut] of [
        ["later", (node: RawPeer, relayed: Promise<unknown>) => relayed.then(() => node.reset())],
        ["with its last bytes", async (node: RawPeer) => node.reset()],
      ] as const) {
        it(`resets an HTTP/${version} client when its node resets ${when}, and invents no end`, async (t) => {
          const { client, node, balancer } = await started(t, sockets, version);
          node.send(`${HEAD}\r\nhello`);
          await cut(node, client.log.untilText("hello"));
          await client.log.untilClosed();
          assert.equal(client.log.errorCode, "ECONNRESET");
          assert.ok(!client.text.endsWith("0\r\n\r\n"));
          assert.equal(balancer.snapshot().counters.nodeAborts, 1);
        });
      }
    }
  });
}
