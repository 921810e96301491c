import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { ListenerConfig } from "../../src/config/config.js";
import { oneCluster, startBalancer, type TestConfig } from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { startFunctionNode } from "../support/function-node.js";
import { startGatedNode } from "../support/gated-node.js";
import { makeDirectory } from "../support/program.js";
import { startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawClient } from "../support/raw-peer.js";
import { connectTlsClient } from "../support/tls-peers.js";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`;
const UPGRADE = "GET /ws HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const LISTENER: ListenerConfig = { address: { kind: "tcp", host: "127.0.0.1", port: 0 }, proxyProtocol: false };

const portOf = (address: string) => Number(address.slice(address.lastIndexOf(":") + 1));

/** Asks for what must be refused, and sees the connection end. */
async function assertRefused(client: RawClient, request = get("/f"), method = "GET"): Promise<void> {
  const response = await client.ask(request, method);
  assert.deepEqual(
    [response.status, response.header("retry-after"), response.header("connection")],
    [503, "1", "close"],
  );
  if (method !== "HEAD") assert.equal(response.json().code, "ERR_DRAINING");
  await client.log.untilEnd();
}

for (const sockets of ["fast", "plain"]) {
  const start = (t: TestContext, config: TestConfig) => startBalancer(t, config, { sockets });

  describe(`a paused listener, on ${sockets} sockets`, () => {
    it("answers 503 to new connections and to requests on open ones, until it is resumed (WB6, W12)", async (t) => {
      const node = await startFunctionNode(t, { name: "a" });
      const { balancer, port, addresses, event } = await start(t, { nodes: [node.port] });
      const [id] = addresses;
      const open = await connectClient(t, port);
      assert.equal((await open.ask(get("/f"))).status, 200);
      assert.equal(balancer.pauseListener(id), "applied");
      assert.equal((await event("listener_paused")).address, id);
      assert.deepEqual(
        balancer.listeners().map(({ state }) => state),
        ["paused"],
      );
      await assertRefused(open);
      await assertRefused(await connectClient(t, port));
      await assertRefused(await connectClient(t, port), "HEAD / HTTP/1.1\r\nHost: fn\r\n\r\n", "HEAD");
      await assertRefused(await connectClient(t, port), "OPTIONS * HTTP/1.1\r\nHost: fn\r\n\r\n", "OPTIONS");
      await assertRefused(await connectClient(t, port), UPGRADE);
      const post = "POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 4\r\n\r\nbody";
      await assertRefused(await connectClient(t, port), post, "POST");
      assert.equal(balancer.snapshot().counters.requestsRefusedByPause, 6);
      assert.equal(node.calls.length, 1);
      assert.equal(balancer.resumeListener(id), "applied");
      assert.equal((await event("listener_resumed")).address, id);
      assert.equal((await (await connectClient(t, port)).ask(get("/f"))).status, 200);
    });

    it("is in the access log with what it refuses, which nobody but the balancer has ended", async (t) => {
      const path = join(makeDirectory(t), "access.log");
      const { balancer, port, addresses } = await start(t, { nodes: [1], accessLog: path });
      balancer.pauseListener(addresses[0]);
      await assertRefused(await connectClient(t, port));
      await balancer.close();
      const { status, code, endedBy, phase } = JSON.parse(readFileSync(path, "utf8"));
      assert.deepEqual([status, code, endedBy, phase], [503, "ERR_DRAINING", "balancer", "head"]);
    });

    it("says when there was nothing to do, and knows no other (W12)", async (t) => {
      const { balancer, addresses } = await start(t, { nodes: [1] });
      assert.equal(balancer.resumeListener(addresses[0]), "unchanged");
      assert.equal(balancer.pauseListener(addresses[0]), "applied");
      assert.equal(balancer.pauseListener(addresses[0]), "unchanged");
      for (const id of ["127.0.0.1:1", "", "unix:/nowhere"]) {
        assert.throws(() => balancer.pauseListener(id), { code: "ERR_NOT_FOUND" });
        assert.throws(() => balancer.resumeListener(id), { code: "ERR_NOT_FOUND" });
      }
    });

    it("leaves exchanges alone that run, and asks their clients to go (W12)", async (t) => {
      const gated = await startGatedNode(t);
      const { balancer, port, addresses, until } = await start(t, { nodes: [gated.port] });
      const upload = await connectClient(t, port);
      upload.send("POST /up HTTP/1.1\r\nHost: fn\r\nContent-Length: 8\r\n\r\nhalf");
      const waiting = await connectClient(t, port);
      waiting.send(get("/wait"));
      const call = await gated.next();
      await until("the upload", ({ exchanges }) => exchanges === 2);
      balancer.pauseListener(addresses[0]);
      upload.send("half");
      for (const [client, held] of [
        [waiting, call],
        [upload, await gated.next()],
      ] as const) {
        held.answer();
        const response = await client.response();
        assert.deepEqual([response.status, response.header("connection")], [200, "close"]);
        await client.log.untilEnd();
      }
    });

    it("carries on the tunnels that it has (W12)", async (t) => {
      const origin = await startRawOrigin(t);
      const { balancer, port, addresses } = await start(t, { nodes: [origin.port] });
      const client = await connectClient(t, port);
      client.send(UPGRADE);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      node.send(SWITCH);
      await client.response();
      balancer.pauseListener(addresses[0]);
      client.send("ping");
      await node.log.untilText("ping");
      node.send("pong");
      await client.log.untilText("pong");
      client.destroy();
    });

    it("speaks TLS as before: a client sees a status, not a failed handshake", async (t) => {
      const authority = createAuthority();
      const certificates = [certificateFiles(t).writePair("it", authority.issue({ dns: ["it.example"] }))];
      const tls = { certificates, clientCaFile: "", clientCertificates: "none", minVersion: "1.2" } as const;
      const node = await startFunctionNode(t, { name: "a" });
      const listeners = [LISTENER, { ...LISTENER, tls }];
      const { balancer, addresses } = await start(t, { nodes: [node.port], listeners });
      const [plain, secure] = addresses;
      assert.deepEqual(balancer.listeners(), [
        { id: plain, state: "open", isTls: false, takesProxyHeaders: false },
        { id: secure, state: "open", isTls: true, takesProxyHeaders: false },
      ]);
      const open = await connectTlsClient(t, portOf(secure), { ca: authority.cert });
      balancer.pauseListener(secure);
      await assertRefused(open);
      await assertRefused(await connectTlsClient(t, portOf(secure), { ca: authority.cert }));
      const other = await connectClient(t, portOf(plain));
      assert.equal((await other.ask(get("/f"))).status, 200, "the other one is not paused");
    });

    it("reads PROXY headers as before", async (t) => {
      const node = await startFunctionNode(t, { name: "a" });
      const listeners = [{ ...LISTENER, proxyProtocol: true }];
      const { balancer, port, addresses } = await start(t, {
        nodes: [node.port],
        listeners,
        trustedProxies: ["127.0.0.1"],
      });
      balancer.pauseListener(addresses[0]);
      const client = await connectClient(t, port);
      await assertRefused(client, `PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n${get("/f")}`);
      assert.equal(balancer.listeners()[0].takesProxyHeaders, true);
    });

    it("stays paused over a reload that keeps it, and is open where one brings it back", async (t) => {
      const node = await startFunctionNode(t, { name: "a" });
      const { balancer, config, addresses, until } = await start(t, {
        nodes: [node.port],
        listeners: [LISTENER, LISTENER],
      });
      const [kept, removed] = addresses;
      balancer.pauseListener(kept);
      balancer.pauseListener(removed);
      const leftover = await connectClient(t, portOf(removed));
      await until("its connection", ({ connections }) => connections === 1);
      await balancer.reload(oneCluster({ ...config, headTimeoutMs: 9000, listeners: [LISTENER] }));
      assert.deepEqual(
        balancer.listeners().map(({ id, state }) => [id, state]),
        [[kept, "paused"]],
      );
      await assertRefused(await connectClient(t, portOf(kept)));
      await assertRefused(leftover);
      await balancer.reload(oneCluster({ ...config, listeners: [LISTENER, LISTENER] }));
      assert.deepEqual(
        balancer.listeners().map(({ state }) => state),
        ["paused", "open"],
      );
    });
  });
}
