import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { startBalancer, type TestConfig } from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { eventually, FakeClock, turns } from "../support/fake-clock.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawClient } from "../support/raw-peer.js";
import { connectTlsClient } from "../support/tls-peers.js";

const authority = createAuthority();
const ca = authority.cert;
const issued = authority.issue({ dns: ["fn.example"] });
const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";
const V1 = "PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\n";
const V2 = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x03\xe8\x01\xbb";

for (const sockets of ["fast", "plain"]) {
  async function start(t: TestContext, config: Partial<TestConfig> = {}, dependencies = {}) {
    const origin = await startRawOrigin(t, answering(ok("hello")));
    const certificates = [certificateFiles(t).writePair("fn", issued)];
    const running = await startBalancer(
      t,
      {
        nodes: [origin.port],
        listeners: [
          {
            address: { kind: "tcp", host: "127.0.0.1", port: 0 },
            proxyProtocol: true,
            tls: { certificates, clientCaFile: "", clientCertificates: "none", minVersion: "1.2" },
          },
        ],
        trustedProxies: ["127.0.0.1"],
        ...config,
      },
      { sockets, ...dependencies },
    );
    return { ...running, origin, counters: () => running.balancer.snapshot().counters };
  }

  /** A client in TLS behind a proxy that has sent this header, in one piece with nothing else. */
  async function behindProxy(t: TestContext, port: number, header: string) {
    const proxy = await connectClient(t, port);
    proxy.socket.removeAllListeners("data");
    proxy.socket.pause();
    proxy.send(header);
    return connectTlsClient(t, () => takeOver(proxy), { ca });
  }

  /** `connectTlsClient` waits for a socket to connect; this one is. */
  function takeOver({ socket }: RawClient) {
    setImmediate(() => socket.emit("connect"));
    return socket;
  }

  describe(`the PROXY protocol in front of TLS, on ${sockets} sockets`, () => {
    for (const [name, header, address, port] of [
      ["version 1", V1, "1.2.3.4", "443"],
      ["version 2", V2, "1.2.3.4", "443"],
      ["version 1 that names nobody", "PROXY UNKNOWN\r\n", "127.0.0.1", undefined],
    ] as const) {
      it(`${name} tells the client's address, the scheme is https`, async (t) => {
        const { port: own, origin } = await start(t);
        const client = await behindProxy(t, own, header);
        for (let request = 0; request < 2; request++) {
          assert.equal((await client.ask(GET)).body.toString(), "hello");
          const said = origin.connections[0].text.split("\r\n\r\n").at(-2) ?? "";
          assert.match(said, new RegExp(`X-Forwarded-For: ${address}\r\nX-Forwarded-Proto: https\r\n`));
          assert.match(said, new RegExp(`X-Forwarded-Port: ${port ?? own}\r\n`));
        }
      });
    }

    it("may come split at any byte, and in one piece with the first bytes of TLS", async (t) => {
      const { port, balancer, counters } = await start(t);
      const greeting = await clientHello(t);
      for (let at = 1; at < V1.length + 5; at++) {
        const client = await connectClient(t, port);
        const bytes = Buffer.concat([Buffer.from(V1), greeting]);
        client.send(bytes.subarray(0, at));
        await eventually(() => balancer.snapshot().handshakes === 1);
        await turns(3);
        client.send(bytes.subarray(at));
        // A ServerHello: the header was taken off and what stood behind it was understood.
        const answer = await client.log.untilLength(6);
        assert.deepEqual([answer[0], answer[5]], [22, 2], `split at ${at}`);
        client.reset();
        await eventually(() => balancer.snapshot().handshakes === 0);
      }
      assert.equal(counters().connectionsRefusedByProxyHeader, 0);
    });

    it("anything else ends the connection, and costs no handshake", async (t) => {
      const { port, counters, until } = await start(t);
      const greeting = await clientHello(t);
      for (const bytes of [greeting, Buffer.from(GET), Buffer.from(`PROXY ${"x".repeat(200)}`)]) {
        const client = await connectClient(t, port);
        client.send(bytes);
        await client.log.untilEnd();
        assert.equal(client.text, "");
      }
      await until("the places to be free", ({ handshakes }) => handshakes === 0);
      assert.deepEqual([counters().connectionsRefusedByProxyHeader, counters().handshakesFailed], [3, 0]);
      assert.equal((await (await behindProxy(t, port, V1)).ask(GET)).status, 200);
    });

    it("is believed of trusted peers only: others are cut off before they cost a handshake", async (t) => {
      const { port, counters } = await start(t, { trustedProxies: ["10.0.0.0/8"] });
      const client = await connectClient(t, port);
      client.send(V1);
      await client.log.untilEnd();
      assert.deepEqual([counters().connectionsRefusedByProxyHeader, counters().handshakesFailed], [1, 0]);
    });

    it("shares its time with the handshake", async (t) => {
      const clock = new FakeClock();
      const { port, until, counters } = await start(t, { handshakeTimeoutMs: 1000 }, { clock });
      const [silent, half] = [await connectClient(t, port), await connectClient(t, port)];
      half.send("PROXY ");
      await until("both", ({ handshakes }) => handshakes === 2);
      await clock.advance(1000);
      await silent.log.untilEnd();
      await half.log.untilEnd();
      assert.equal(counters().handshakesFailed, 2);
    });

    it("a proxy that closes before or in its header is no leak", async (t) => {
      const { port, until, counters } = await start(t);
      for (const bytes of ["", "PROXY ", V1]) {
        for (const goodbye of ["end", "reset"] as const) {
          const client = await connectClient(t, port);
          if (bytes !== "") client.send(bytes);
          client[goodbye]();
        }
      }
      await until("the places to be free", ({ handshakes }) => handshakes === 0 && counters().handshakesFailed === 6);
    });

    it("is what connections per client are counted by", async (t) => {
      const { port, counters } = await start(t, { connectionsPerClientMax: 1 });
      const first = await behindProxy(t, port, V1);
      assert.equal((await first.ask(GET)).status, 200);
      const other = await behindProxy(t, port, V1.replace("1.2.3.4", "1.2.3.5"));
      assert.equal((await other.ask(GET)).status, 200);
      const second = await behindProxy(t, port, V1);
      assert.equal((await second.response()).status, 429);
      assert.equal(counters().connectionsRefusedByClientLimit, 1);
    });
  });

  /** The first bytes that a client says in TLS. */
  async function clientHello(t: TestContext): Promise<Buffer> {
    const origin = await startRawOrigin(t);
    const failing = connectTlsClient(t, origin.port, { ca }).catch(() => {});
    const peer = await origin.accept();
    const bytes = await peer.log.untilLength(100);
    peer.destroy();
    await failing;
    return Buffer.from(bytes);
  }
}
