import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { ListenerConfig } from "../../src/config/config.js";
import { startBalancer, type TestConfig } from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { FakeClock } from "../support/fake-clock.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { connectTlsClient } from "../support/tls-peers.js";
import { assertProblem } from "../support/wire.js";

const authority = createAuthority();
const ca = authority.cert;
const issued = authority.issue({ dns: ["fn.example"] });
const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";
const ANY = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;

for (const sockets of ["fast", "plain"]) {
  /** A balancer with one listener in TLS and one in the clear. */
  async function start(t: TestContext, limits: Partial<TestConfig>, dependencies = {}) {
    const origin = await startRawOrigin(t, answering(ok("hello")));
    const certificates = [certificateFiles(t).writePair("fn", issued)];
    const tls = { certificates, clientCaFile: "", clientCertificates: "none", minVersion: "1.2" } as const;
    const listeners: ListenerConfig[] = [
      { address: ANY, proxyProtocol: false, tls },
      { address: ANY, proxyProtocol: false },
    ];
    const running = await startBalancer(
      t,
      { nodes: [origin.port], listeners, ...limits },
      { sockets, ...dependencies },
    );
    const [tlsPort, plainPort] = running.addresses.map((address) => Number(/\d+$/.exec(address)));
    const { balancer, until } = running;
    return {
      ...running,
      tlsPort,
      plainPort,
      counters: () => balancer.snapshot().counters,
      /** A client that says nothing of the handshake, known to the balancer. */
      async silent() {
        const places = running.balancer.snapshot().handshakes;
        const client = await connectClient(t, tlsPort);
        await until("the handshake to begin", ({ handshakes }) => handshakes === places + 1);
        return client;
      },
    };
  }

  describe(`limits of TLS, on ${sockets} sockets`, () => {
    it("a handshake has its time, and what fails is counted", async (t) => {
      const clock = new FakeClock();
      const { silent, counters, event, balancer } = await start(t, { handshakeTimeoutMs: 2000 }, { clock });
      const client = await silent();
      await clock.advance(1999);
      assert.deepEqual([counters().handshakesFailed, balancer.snapshot().handshakes], [0, 1]);
      await clock.advance(1);
      await client.log.untilEnd();
      assert.equal((await event("handshake_failed")).code, "ETIMEDOUT");
      assert.deepEqual([counters().handshakesFailed, balancer.snapshot().handshakes], [1, 0]);
    });

    it("as many handshakes as may be run at once; one more is closed and counted, and is no failure", async (t) => {
      const { silent, tlsPort, counters, until } = await start(t, { handshakesMax: 2 });
      const waiting = [await silent(), await silent()];
      const refused = await connectClient(t, tlsPort);
      await refused.log.untilEnd();
      assert.equal(refused.text, "");
      assert.deepEqual([counters().handshakesRefusedByLimit, counters().handshakesFailed], [1, 0]);
      for (const client of waiting) client.reset();
      await until("both to be gone", ({ handshakes }) => handshakes === 0);
      const clients = [await connectTlsClient(t, tlsPort, { ca }), await connectTlsClient(t, tlsPort, { ca })];
      // Connections whose handshake is over are no handshakes any more.
      clients.push(await connectTlsClient(t, tlsPort, { ca }));
      for (const client of clients) assert.equal((await client.ask(GET)).status, 200);
      assert.equal(counters().handshakesRefusedByLimit, 1);
    });

    it("a handshake takes a place of a connection: together they stay within the limit", async (t) => {
      const { silent, tlsPort, plainPort, counters, until } = await start(t, { connectionsMax: 2 });
      const first = await connectTlsClient(t, tlsPort, { ca });
      assert.equal((await first.ask(GET)).status, 200);
      const second = await silent();
      const third = await connectClient(t, tlsPort);
      await third.log.untilEnd();
      assert.equal(third.text, "", "there is no way to say 503 before a handshake");
      assert.equal(counters().connectionsRefusedByLimit, 1);
      assertProblem(await (await connectClient(t, plainPort)).response(), 503, "ERR_AT_CAPACITY");
      assert.deepEqual([counters().connectionsRefusedByLimit, counters().handshakesRefusedByLimit], [2, 0]);
      second.reset();
      await until("room", ({ handshakes }) => handshakes === 0);
      const fourth = await connectTlsClient(t, tlsPort, { ca });
      assert.equal((await fourth.ask(GET)).status, 200);
    });

    it("the last place is enough for a handshake and the connection that it becomes", async (t) => {
      const { tlsPort, counters } = await start(t, { connectionsMax: 1, connectionsPerClientMax: 1, handshakesMax: 1 });
      const client = await connectTlsClient(t, tlsPort, { ca });
      for (let request = 0; request < 2; request++) assert.equal((await client.ask(GET)).status, 200);
      assert.equal(counters().problems, 0);
    });

    it("handshakes count for their client, and are forgotten with it", async (t) => {
      const { silent, tlsPort, counters, until } = await start(t, { connectionsPerClientMax: 1 });
      const first = await silent();
      const second = await connectClient(t, tlsPort);
      await second.log.untilEnd();
      assert.deepEqual([second.text, counters().connectionsRefusedByClientLimit], ["", 1]);
      first.reset();
      await until("room", ({ handshakes }) => handshakes === 0);
      const third = await connectTlsClient(t, tlsPort, { ca });
      assert.equal((await third.ask(GET)).status, 200);
      third.destroy();
      await until("it to be gone", ({ connections }) => connections === 0);
      const fourth = await connectTlsClient(t, tlsPort, { ca });
      assert.equal((await fourth.ask(GET)).status, 200);
    });

    it("give back every place: garbage, resets and clients that leave use none up", async (t) => {
      const { tlsPort, counters, until } = await start(t, { connectionsMax: 3, connectionsPerClientMax: 3 });
      for (let round = 0; round < 4; round++) {
        const garbage = await connectClient(t, tlsPort);
        garbage.send(GET);
        const leaving = await connectClient(t, tlsPort);
        leaving.end();
        const rude = await connectClient(t, tlsPort);
        rude.reset();
        await until("three failures", () => counters().handshakesFailed === (round + 1) * 3);
      }
      assert.deepEqual([counters().connectionsRefusedByLimit, counters().connectionsRefusedByClientLimit], [0, 0]);
      const client = await connectTlsClient(t, tlsPort, { ca });
      assert.equal((await client.ask(GET)).status, 200);
    });
  });
}
