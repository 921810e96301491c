import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { NodeConfig } from "../../src/config/config.js";
import type { TlsNodeConfig } from "../../src/config/tls.js";
import { oneCluster, startBalancer, type TestConfig } from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { FakeClock } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { startTlsOrigin } from "../support/tls-peers.js";

const authority = createAuthority();
const ca = authority.cert;
const localhost = authority.issue({ dns: ["localhost"], ips: ["127.0.0.1"] });
const elsewhere = authority.issue({ dns: ["elsewhere.example"] });
const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";
const CHECKS = { checkPath: "/health", checkIntervalMs: 50, checkTimeoutMs: 10_000 } as const;

for (const sockets of ["fast", "plain"]) {
  const caOf = (t: TestContext) => certificateFiles(t).write("ca.crt", ca);
  const start = (t: TestContext, node: NodeConfig, config: Partial<TestConfig> = {}, dependencies = {}) =>
    startBalancer(t, { nodes: [node], ...config }, { sockets, ...dependencies });

  describe(`the health of nodes in TLS, on ${sockets} sockets`, () => {
    it("a check asks in TLS, for the node's own name", async (t) => {
      const origin = await startTlsOrigin(t, localhost, answering(ok("fine")));
      const { event, port } = await start(t, secureNode(origin.port, { caFile: caOf(t) }, "localhost"), CHECKS, {
        resolve: async () => ["127.0.0.1"],
      });
      await event("node_passing");
      const [check] = origin.connections;
      assert.match(check.text, new RegExp(`^GET /health HTTP/1.1\r\nHost: localhost:${origin.port}\r\n`));
      assert.equal((check.socket as { readonly servername?: string | false }).servername, "localhost");
      assert.equal((await (await connectClient(t, port)).ask(GET)).status, 200);
    });

    it("a check fails for a certificate that is for another name, and says so", async (t) => {
      const origin = await startTlsOrigin(t, elsewhere, answering(ok("fine")));
      const { event, port } = await start(t, secureNode(origin.port, { caFile: caOf(t) }), CHECKS);
      const { reason } = await event("node_failing");
      assert.equal(reason, "ERR_TLS_CERT_ALTNAME_INVALID");
      assert.equal((await (await connectClient(t, port)).ask(GET)).status, 503);
      assert.ok(
        origin.connections.every(({ text }) => text === ""),
        "it was asked nothing",
      );
    });

    it("a check fails where nobody speaks TLS", async (t) => {
      const plain = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.send(ok("fine"))));
      const { event } = await start(t, secureNode(plain.port, { caFile: caOf(t) }), CHECKS);
      assert.match(String((await event("node_failing")).reason), /^ERR_SSL_/);
    });

    it("a check passes again once new authorities are there", async (t) => {
      const files = certificateFiles(t);
      const caFile = files.write("ca.crt", createAuthority("another").cert);
      const origin = await startTlsOrigin(t, localhost, answering(ok("fine")));
      const { event, balancer, port } = await start(t, secureNode(origin.port, { caFile }), CHECKS);
      assert.equal((await event("node_failing")).reason, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
      files.write("ca.crt", ca);
      await balancer.reloadCertificates();
      await event("node_passing");
      assert.equal((await (await connectClient(t, port)).ask(GET)).status, 200);
    });

    it("a node whose authorities a reload changes is checked before it gets its next request", async (t) => {
      const files = certificateFiles(t);
      const origin = await startTlsOrigin(t, localhost, answering(ok("fine")));
      const [before, after] = [files.write("1.crt", ca), files.write("2.crt", ca)];
      const clock = new FakeClock();
      const node = (caFile: string) => secureNode(origin.port, { caFile });
      const { event, balancer, config, port } = await start(t, node(before), CHECKS, { clock });
      await event("node_passing");
      origin.freeze();
      await clock.advanceUntil(balancer.reload(oneCluster({ ...config, nodes: [node(after)] })));
      const client = await connectClient(t, port);
      assert.equal((await client.ask(GET)).status, 503);
      origin.thaw();
      await clock.advanceUntil(event("node_passing"));
      assert.equal((await client.ask(GET)).status, 200);
    });

    it("a silent node is asked in TLS, and keeps its requests when it answers", async (t) => {
      const origin = await startTlsOrigin(t, localhost);
      const node = secureNode(origin.port, { caFile: caOf(t) });
      const clock = new FakeClock();
      const { port, balancer } = await start(t, node, {}, { clock });
      const client = await connectClient(t, port);
      client.send(GET);
      const slow = await origin.accept();
      await slow.log.untilText("\r\n\r\n");
      await clock.advance(1300);
      const question = await origin.accept();
      await question.log.untilText("OPTIONS * HTTP/1.1\r\n");
      question.send(ok(""));
      await question.log.untilEnd();
      // An answer that came too late would speak against it here.
      await clock.advance(1000);
      slow.send(ok("late"));
      assert.equal((await client.response()).body.toString(), "late");
      const { counters } = balancer.snapshot();
      assert.equal(counters.nodeSuspicions, 0);
    });

    it("a node that accepts and is silent in the handshake of the question is suspect", async (t) => {
      const clock = new FakeClock();
      const node = await startTlsOrigin(t, localhost);
      const { port, event, until, balancer } = await start(
        t,
        secureNode(node.port, { caFile: caOf(t) }),
        { silenceMs: 1000, pingTimeoutMs: 1000 },
        { clock },
      );
      const client = await connectClient(t, port);
      client.send(GET);
      const slow = await node.accept();
      await slow.log.untilText("\r\n\r\n");
      node.freeze();
      await clock.advanceUntil(event("node_suspect"));
      assert.deepEqual([balancer.snapshot().nodes[0].alive, balancer.snapshot().nodes[0].suspect], [true, true]);
      slow.send(ok("after all"));
      assert.equal((await client.response()).body.toString(), "after all");
      await until("trust", ({ nodes }) => !nodes[0].suspect);
    });

    it("a ping shakes hands: a port that only accepts brings no dead node back, its certificate does", async (t) => {
      const node = await startFunctionNode(t, { name: "a", tls: localhost });
      const { port: nodePort } = node;
      const { port, event, balancer } = await start(t, secureNode(nodePort, { caFile: caOf(t) }), {
        pingIntervalMs: 20,
      });
      const client = await connectClient(t, port);
      assert.equal((await client.ask(GET)).status, 200);
      await node.stop();
      assert.equal((await client.ask(GET)).status, 502);
      await event("node_dead");
      const accepting = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.end()), nodePort);
      for (let ping = 0; ping < 3; ping++) {
        const peer = await accepting.accept();
        assert.equal((await peer.log.untilLength(1))[0], 22, "a ClientHello");
      }
      assert.equal(balancer.snapshot().nodes[0].alive, false);
      await accepting.stop();
      await node.start();
      await event("node_alive");
      assert.equal((await client.ask(GET)).status, 200);
    });
  });
}

function secureNode(port: number, tls: Partial<TlsNodeConfig>, host = "127.0.0.1"): NodeConfig {
  return {
    id: `https://${host}:${port}`,
    address: { kind: "tcp", host, port, basePath: "", tls: true },
    weight: 1,
    tls: { caFile: "", serverName: "", certFile: "", keyFile: "", verifies: true, ...tls },
  };
}
