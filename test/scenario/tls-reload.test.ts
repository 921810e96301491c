import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import type { ListenerConfig, NodeConfig } from "../../src/config/config.js";
import type { TlsListenerConfig, TlsNodeConfig } from "../../src/config/tls.js";
import { type FlatConfig, oneCluster, startBalancer, type TestBalancer, type TestConfig } from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { startFunctionNode } from "../support/function-node.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { connectTlsClient, startTlsOrigin, type TlsClient } from "../support/tls-peers.js";

const authority = createAuthority();
const ca = authority.cert;
const first = authority.issue({ name: "first", dns: ["fn.example"] });
const second = authority.issue({ name: "second", dns: ["fn.example"] });
const card = authority.issue({ name: "me", usage: "client" });
const localhost = authority.issue({ dns: ["localhost"], ips: ["127.0.0.1"] });
const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";
const MISSING_CARD = "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE";

const clear: ListenerConfig = { address: { kind: "tcp", host: "127.0.0.1", port: 0 }, proxyProtocol: false };
const secure = (
  tls: Partial<TlsListenerConfig> & Pick<TlsListenerConfig, "certificates">,
  address = clear.address,
): ListenerConfig => ({
  ...clear,
  address,
  tls: { clientCaFile: "", clientCertificates: "none", minVersion: "1.2", ...tls },
});

const nameOf = ({ socket }: TlsClient) => String(socket.getPeerCertificate().subject.CN);

for (const sockets of ["fast", "plain"]) {
  /** A balancer whose config the test changes bit by bit. */
  async function start(t: TestContext, config: TestConfig) {
    const running = await startBalancer(t, config, { sockets });
    let current: FlatConfig = running.config;
    const reload = async (change: Partial<FlatConfig>): Promise<void> => {
      const next = { ...current, ...change };
      await running.balancer.reload(oneCluster(next));
      current = next;
    };
    return { ...running, reload };
  }

  /** A balancer with one TLS listener before a node that says hello. */
  async function startAnswering(t: TestContext, config: Partial<TestConfig> = {}) {
    const origin = await startRawOrigin(t, answering(ok("hello")));
    const files = certificateFiles(t);
    const certificates = [files.writePair("first", first)];
    const running = await start(t, { nodes: [origin.port], listeners: [secure({ certificates })], ...config });
    return { ...running, files, certificates, origin };
  }

  const eventNames = ({ events }: Pick<TestBalancer, "events">) => events.map(({ event }) => event);

  /** The status of a request on a connection of its own. */
  async function statusOf(t: TestContext, port: number, options: object = {}): Promise<number> {
    const client = await connectTlsClient(t, port, { ca, ...options });
    const { status } = await client.ask(GET);
    client.destroy();
    return status;
  }

  describe(`a reload of listeners in TLS, on ${sockets} sockets`, () => {
    it("with other certificate files: new connections get them, and those that stand go on", async (t) => {
      const { port, reload, files, event } = await startAnswering(t);
      const old = await connectTlsClient(t, port, { ca });
      assert.equal((await old.ask(GET)).status, 200);
      await reload({ listeners: [secure({ certificates: [files.writePair("second", second)] })] });
      await event("reloaded");
      assert.equal(nameOf(await connectTlsClient(t, port, { ca })), "second");
      assert.equal(nameOf(await connectTlsClient(t, port, { ca, servername: "fn.example" })), "second");
      assert.equal((await old.ask(GET)).status, 200);
      assert.equal(nameOf(old), "first");
    });

    it("watches the new files from then on, and no more the old ones", async (t) => {
      const { port, reload, files, balancer, events } = await startAnswering(t);
      await reload({ listeners: [secure({ certificates: [files.writePair("second", first)] })] });
      files.write("first.crt", "nothing");
      files.writePair("second", second);
      await balancer.reloadCertificates();
      assert.equal(nameOf(await connectTlsClient(t, port, { ca })), "second");
      assert.deepEqual(
        events.filter(({ event }) => event.startsWith("certificates_")).map(({ event }) => event),
        ["certificates_reloaded"],
      );
    });

    it("with client certificates turned on: old connections go on, new handshakes need one", async (t) => {
      const { port, reload, files, certificates, event } = await startAnswering(t);
      const clientCaFile = files.write("ca.crt", ca);
      const old = await connectTlsClient(t, port, { ca });
      assert.equal((await old.ask(GET)).status, 200);
      await reload({ listeners: [secure({ certificates, clientCaFile, clientCertificates: "require" })] });
      assert.equal((await old.ask(GET)).status, 200);
      const bare = await connectTlsClient(t, port, { ca });
      bare.send(GET);
      await bare.log.untilEnd();
      assert.equal((await event("handshake_failed")).code, MISSING_CARD);
      assert.equal(await statusOf(t, port, card), 200);
      await reload({ listeners: [secure({ certificates })] });
      assert.equal(await statusOf(t, port), 200);
    });

    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      it(`lets nobody in with a session from before client certificates were asked for, ${maxVersion}`, async (t) => {
        const { port, reload, files, certificates, event } = await startAnswering(t);
        const clientCaFile = files.write("ca.crt", ca);
        const session = await sessionOf(t, port, { maxVersion });
        await reload({ listeners: [secure({ certificates, clientCaFile, clientCertificates: "require" })] });
        const client = await connectTlsClient(t, port, { ca, maxVersion, session }).catch(() => undefined);
        client?.send(GET);
        await client?.log.untilEnd();
        assert.equal(client?.text ?? "", "");
        assert.equal((await event("handshake_failed")).code, MISSING_CARD);
      });

      it(`lets nobody in with a session from before his authority was replaced, ${maxVersion}`, async (t) => {
        const files = certificateFiles(t);
        const clientCaFile = files.write("ca.crt", ca);
        const certificates = [files.writePair("first", first)];
        const listeners = [secure({ certificates, clientCaFile, clientCertificates: "require" })];
        const { port, balancer, event } = await startAnswering(t, { listeners });
        const session = await sessionOf(t, port, { maxVersion, ...card });
        files.write("ca.crt", createAuthority("another").cert);
        await balancer.reloadCertificates();
        const options = { ca, maxVersion, session, ...card };
        const client = await connectTlsClient(t, port, options).catch(() => undefined);
        client?.send(GET);
        await client?.log.untilEnd();
        assert.equal(client?.text ?? "", "");
        assert.equal((await event("handshake_failed")).code, "SELF_SIGNED_CERT_IN_CHAIN");
      });
    }

    it("that leaves a listener as it is leaves its sessions too", async (t) => {
      const { port, reload } = await startAnswering(t);
      const options = { maxVersion: "TLSv1.2" } as const;
      const session = await sessionOf(t, port, options);
      await reload({ attemptsMax: 2, handshakeTimeoutMs: 5000 });
      const client = await connectTlsClient(t, port, { ca, ...options, session });
      assert.ok(client.socket.isSessionReused());
    });

    it("lets handshakes that are under way finish, as they began", async (t) => {
      const { port, reload, files, until, balancer } = await startAnswering(t);
      const { finish, stalled } = await stallHandshake(t, port);
      await until("the handshake", ({ handshakes }) => handshakes === 1);
      await reload({ listeners: [secure({ certificates: [files.writePair("second", second)] })] });
      assert.equal(balancer.snapshot().handshakes, 1);
      finish();
      const client = await stalled;
      assert.equal((await client.ask(GET)).status, 200);
    });

    it("forgets no handshake: those from before count for the limit, and end with the listener", async (t) => {
      const { port, reload, files, until, balancer } = await startAnswering(t, { handshakesMax: 2 });
      const silent = [await connectClient(t, port), await connectClient(t, port)];
      await until("both handshakes", ({ handshakes }) => handshakes === 2);
      await reload({ listeners: [secure({ certificates: [files.writePair("second", second)] })] });
      const third = await connectClient(t, port);
      await third.log.untilEnd();
      assert.equal(balancer.snapshot().counters.handshakesRefusedByLimit, 1);
      await balancer.close();
      for (const client of silent) await client.log.untilEnd();
      assert.equal(balancer.snapshot().handshakes, 0);
    });

    it("takes other limits over, for the connections that come then", async (t) => {
      const { port, reload, until, balancer } = await startAnswering(t);
      await reload({ handshakesMax: 1 });
      await connectClient(t, port);
      await until("a handshake", ({ handshakes }) => handshakes === 1);
      await (await connectClient(t, port)).log.untilEnd();
      assert.equal(balancer.snapshot().counters.handshakesRefusedByLimit, 1);
      await reload({ handshakesMax: 2 });
      assert.equal(await statusOf(t, port), 200);
    });

    it("adds a listener in TLS, and closes it again while its connections go on", async (t) => {
      const origin = await startRawOrigin(t, answering(ok("hello")));
      const files = certificateFiles(t);
      const certificates = [files.writePair("first", first)];
      const running = await start(t, { nodes: [origin.port], listeners: [clear] });
      await running.reload({ listeners: [clear, secure({ certificates })] });
      await running.event("listening");
      const { address } = await running.event("listening");
      const port = Number(/\d+$/.exec(String(address)));
      const client = await connectTlsClient(t, port, { ca });
      assert.equal((await client.ask(GET)).status, 200);
      const silent = await connectClient(t, port);
      await running.until("a handshake", ({ handshakes }) => handshakes === 1);
      await running.reload({ listeners: [clear] });
      assert.equal((await running.event("listener_closed")).address, address);
      assert.equal((await client.ask(GET)).status, 200);
      await silent.log.untilEnd();
      await assert.rejects(connectClient(t, port), { code: "ECONNREFUSED" });
      assert.equal((await (await connectClient(t, running.port)).ask(GET)).status, 200);
    });

    it("with a bad certificate file is refused, and nothing has changed but that it is known", async (t) => {
      const running = await startAnswering(t);
      const { port, reload, files, certificates, balancer } = running;
      const before = balancer.snapshot();
      const events = eventNames(running);
      const path = files.write("socket", "").replace(/socket$/, "new.sock");
      const broken = { certFile: files.write("broken.crt", "nothing"), keyFile: certificates[0].keyFile };
      await assert.rejects(
        reload({
          listeners: [
            secure({ certificates }),
            { ...clear, address: { kind: "unix", path } },
            secure({ certificates: [broken] }),
          ],
          nodes: [],
          connectionsMax: 1,
        }),
        { code: "ERR_OPTION", message: `file "${broken.certFile}" must hold a PEM certificate, got none` },
      );
      assert.deepEqual(eventNames(running), events);
      const counters = { ...before.counters, reloadsFailed: 1 };
      assert.deepEqual(balancer.snapshot(), { ...before, counters, isConfigRefused: true });
      await assert.rejects(connected(path), { code: "ENOENT" });
      for (let client = 0; client < 2; client++) assert.equal(await statusOf(t, port), 200);
    });

    it("with a bad file for nodes is refused, and the old nodes are asked", async (t) => {
      const { port, reload } = await startAnswering(t);
      const nodes = [secureNode(1, { caFile: "/nowhere.crt" })];
      await assert.rejects(reload({ nodes }), { code: "ERR_OPTION", message: /^file "\/nowhere\.crt" must be read/ });
      assert.equal(await statusOf(t, port), 200);
    });

    it("that fails for another reason forgets the certificates that it had read", async (t) => {
      const running = await startAnswering(t);
      const { reload, files, balancer, certificates } = running;
      const blocked = await startRawOrigin(t);
      const next = files.writePair("second", second);
      const taken = { kind: "tcp", host: "127.0.0.1", port: blocked.port } as const;
      const listeners = [secure({ certificates }), secure({ certificates: [next] }, taken)];
      await assert.rejects(reload({ listeners }), { code: "ERR_LISTEN" });
      files.write("second.crt", "nothing");
      await balancer.reloadCertificates();
      assert.ok(!eventNames(running).includes("certificates_reload_failed"), "nobody uses that file");
    });

    it("does not turn a listener that keeps its address from plain to TLS: that is refused", async (t) => {
      const files = certificateFiles(t);
      const origin = await startRawOrigin(t, answering(ok("hello")));
      const path = files.write("socket", "").replace(/socket$/, "fnlb.sock");
      const address = { kind: "unix", path } as const;
      const { reload } = await start(t, { nodes: [origin.port], listeners: [{ ...clear, address }] });
      const certificates = [files.writePair("first", first)];
      await assert.rejects(reload({ listeners: [secure({ certificates }, address)] }), { code: "ERR_LISTEN" });
      await connected(path);
    });
  });

  describe(`a reload of nodes in TLS, on ${sockets} sockets`, () => {
    it("turns a node from http to https and back: another node, while the old one finishes", async (t) => {
      const plain = await startRawOrigin(t);
      const { port, reload, event, files } = await startSecureListener(t, [plain.port]);
      const old = await connectClient(t, port);
      old.send(GET);
      const peer = await plain.accept();
      await peer.log.untilText("\r\n\r\n");
      const node = await startFunctionNode(t, { name: "secure", tls: localhost });
      await reload({ nodes: [secureNode(node.port, { caFile: files.write("ca.crt", ca) })] });
      assert.equal((await event("node_removed")).node, `127.0.0.1:${plain.port}`);
      assert.equal((await event("node_added")).node, `https://127.0.0.1:${node.port}`);
      assert.equal((await (await connectClient(t, port)).ask(GET)).json().node, "secure");
      peer.send(ok("late"));
      assert.equal((await old.response()).body.toString(), "late");
      const back = await startFunctionNode(t, { name: "plain" });
      await reload({ nodes: [plainNode(back.port)] });
      assert.equal((await (await connectClient(t, port)).ask(GET)).json().node, "plain");
    });

    it("changes its authorities: the next connection is verified by them, and what runs finishes", async (t) => {
      const node = await startTlsOrigin(t, localhost);
      const { port, reload, event, files, until } = await startSecureListener(t, []);
      const caFile = files.write("ca.crt", ca);
      await reload({ nodes: [secureNode(node.port, { caFile })] });
      const old = await connectClient(t, port);
      old.send(GET);
      const peer = await node.accept();
      await peer.log.untilText("\r\n\r\n");
      const strangers = files.write("strangers.crt", createAuthority("strangers").cert);
      await reload({ nodes: [secureNode(node.port, { caFile: strangers })] });
      const client = await connectClient(t, port);
      assert.equal((await client.ask(GET)).status, 502);
      assert.equal((await event("node_dead")).code, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
      peer.send(ok("late"));
      assert.equal((await old.response()).body.toString(), "late");
      // Its connection is not kept for those who come later: they would not be verified.
      await peer.log.untilEnd();
      await reload({ nodes: [secureNode(node.port, { caFile })] });
      await until("one living node", ({ nodes }) => nodes.length === 1 && nodes[0].alive);
      client.send(GET);
      const again = await node.accept();
      await again.log.untilText("\r\n\r\n");
      again.send(ok("back"));
      assert.equal((await client.response()).body.toString(), "back");
    });

    it("with the same authorities keeps its connections", async (t) => {
      const node = await startFunctionNode(t, { name: "a", tls: localhost });
      const { port, reload, files, balancer } = await startSecureListener(t, []);
      const caFile = files.write("ca.crt", ca);
      await reload({ nodes: [secureNode(node.port, { caFile })] });
      const client = await connectClient(t, port);
      assert.equal((await client.ask(GET)).status, 200);
      await reload({ nodes: [{ ...secureNode(node.port, { caFile }), weight: 3 }], attemptsMax: 2 });
      assert.equal((await client.ask(GET)).status, 200);
      assert.equal(balancer.snapshot().counters.dials, 1);
    });

    it("keeps sticky clients on a node whose authorities have changed", async (t) => {
      const nodes = await Promise.all(["a", "b", "c"].map((name) => startFunctionNode(t, { name, tls: localhost })));
      const files = certificateFiles(t);
      const [caFile, both] = [files.write("ca.crt", ca), files.write("both.crt", ca + createAuthority("next").cert)];
      const listed = (file: string) => nodes.map((node) => secureNode(node.port, { caFile: file }));
      const { port, reload } = await start(t, {
        nodes: listed(caFile),
        policy: "weighted-round-robin",
        stickyCookie: "fnlb",
        stickySecrets: ["a secret of 32 bytes or thereab."],
      });
      const client = await connectClient(t, port);
      const response = await client.ask(GET);
      const cookie = String(response.header("set-cookie")).split(";")[0];
      await reload({ nodes: listed(both) });
      for (let request = 0; request < 4; request++) {
        const next = await client.ask(GET.replace("\r\n\r\n", `\r\nCookie: ${cookie}\r\n\r\n`));
        assert.deepEqual([next.json().node, next.header("set-cookie")], [response.json().node, undefined]);
      }
    });
  });

  async function startSecureListener(t: TestContext, ports: readonly number[]) {
    return { ...(await start(t, { nodes: ports })), files: certificateFiles(t) };
  }

  /** A session that the server has given out. */
  async function sessionOf(t: TestContext, port: number, options: object): Promise<Buffer> {
    const client = await connectTlsClient(t, port, { ca, ...options });
    let session: Buffer | undefined;
    client.socket.on("session", (ticket) => {
      session = ticket;
      client.log.wake();
    });
    assert.equal((await client.ask(GET)).status, 200);
    if (client.socket.getProtocol() === "TLSv1.2") session = client.socket.getSession();
    const kept = await client.log.until("a session", () => session);
    client.destroy();
    return kept;
  }

  /** A handshake that has begun and whose second half waits for `finish`: what the server says is held back. */
  async function stallHandshake(t: TestContext, port: number) {
    const server = await connectClient(t, port);
    const relay = await startRawOrigin(t);
    const stalled = connectTlsClient(t, relay.port, { ca });
    const peer = await relay.accept();
    const hello = await peer.log.untilLength(100);
    server.send(Buffer.from(hello));
    peer.socket.on("data", (chunk: Buffer) => server.send(chunk));
    await server.log.untilLength(100);
    return {
      stalled,
      finish() {
        peer.send(Buffer.from(server.log.bytes));
        server.socket.on("data", (chunk: Buffer) => peer.send(chunk));
      },
    };
  }
}

function plainNode(port: number): NodeConfig {
  return { id: `127.0.0.1:${port}`, address: { kind: "tcp", host: "127.0.0.1", port, basePath: "" }, weight: 1 };
}

function secureNode(port: number, tls: Partial<TlsNodeConfig>): NodeConfig {
  return {
    id: `https://127.0.0.1:${port}`,
    address: { kind: "tcp", host: "127.0.0.1", port, basePath: "", tls: true },
    weight: 1,
    tls: { caFile: "", serverName: "", certFile: "", keyFile: "", verifies: true, ...tls },
  };
}

/** Connects to a unix socket and closes again, or rejects. */
function connected(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve();
    });
    socket.once("error", reject);
  });
}
