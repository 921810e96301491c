import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import type { ListenerConfig } from "../../src/config/config.js";
import type { TlsListenerConfig } from "../../src/config/tls.js";
import { startBalancer, type TestBalancer, type TestConfig } from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { FakeClock } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { scrapedText } from "../support/scrape.js";
import { connectTlsClient } from "../support/tls-peers.js";

const authority = createAuthority();
const ca = authority.cert;
const first = authority.issue({ dns: ["first.example"] });
/** Its key takes long to make. */
const rsa = authority.issue({ dns: ["rsa.example"], key: "rsa" });
const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";
const UPGRADE = "GET /ws HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
const MEBIBYTE = 1024 * 1024;

const listening = (tls: Partial<TlsListenerConfig> & Pick<TlsListenerConfig, "certificates">): ListenerConfig => ({
  address: { kind: "tcp", host: "127.0.0.1", port: 0 },
  proxyProtocol: false,
  tls: { clientCaFile: "", clientCertificates: "none", minVersion: "1.2", ...tls },
});

for (const sockets of ["fast", "plain"]) {
  /** A balancer whose one listener speaks TLS, with the certificate of `first.example` unless another is given. */
  async function start(
    t: TestContext,
    nodes: TestConfig["nodes"],
    tls: Partial<TlsListenerConfig> = {},
    others: Partial<TestConfig> = {},
  ): Promise<TestBalancer> {
    const certificates = tls.certificates ?? [certificateFiles(t).writePair("first", first)];
    return startBalancer(t, { nodes, listeners: [listening({ ...tls, certificates })], ...others }, { sockets });
  }

  /** A balancer before a node that answers everything, and the client that asks it. */
  async function startAnswering(t: TestContext, tls: Partial<TlsListenerConfig> = {}): Promise<TestBalancer> {
    const origin = await startRawOrigin(t, answering(ok("hello")));
    return start(t, [origin.port], tls);
  }

  async function assertServes(t: TestContext, port: number): Promise<void> {
    const client = await connectTlsClient(t, port, { ca });
    assert.equal((await client.ask(GET)).body.toString(), "hello");
    client.destroy();
  }

  describe(`clients in TLS, on ${sockets} sockets`, () => {
    it("are in the access log with what their handshake has agreed on", async (t) => {
      const log = certificateFiles(t).write("access.log", "");
      const origin = await startRawOrigin(t, answering(ok("hello")));
      const { port, balancer } = await start(t, [origin.port], {}, { accessLog: log });
      await (await connectTlsClient(t, port, { ca, servername: "first.example", maxVersion: "TLSv1.2" })).ask(GET);
      await (await connectTlsClient(t, port, { ca, servername: "", checkServerIdentity: () => undefined })).ask(GET);
      await balancer.close();
      const lines = readFileSync(log, "utf8").trimEnd().split("\n");
      const sessions = lines.map((line) => (JSON.parse(line) as { readonly tls: Record<string, unknown> }).tls);
      assert.deepEqual(
        sessions.map(({ version, serverName, isResumed }) => [version, serverName, isResumed]),
        [
          ["TLSv1.2", "first.example", false],
          ["TLSv1.3", "", false],
        ],
      );
      for (const { cipher } of sessions) assert.match(String(cipher), /^[A-Z0-9_-]{10,}$/);
    });

    it("are served, one connection for many requests, and the node hears that it was https", async (t) => {
      const node = await startFunctionNode(t, { name: "a" });
      const { port, balancer } = await start(t, [node.port]);
      const client = await connectTlsClient(t, port, { ca, ALPNProtocols: ["h2", "http/1.1"] });
      assert.equal(client.socket.alpnProtocol, "http/1.1");
      for (let request = 0; request < 3; request++) assert.equal((await client.ask(GET)).json().node, "a");
      const { counters } = balancer.snapshot();
      assert.deepEqual([counters.connectionsAccepted, counters.requests, counters.handshakesFailed], [1, 3, 0]);
      const headers = new Map<string, string>();
      for (const [index, text] of node.calls[0].rawHeaders.entries())
        if (index % 2 === 0) headers.set(text.toLowerCase(), node.calls[0].rawHeaders[index + 1]);
      assert.equal(headers.get("x-forwarded-proto"), "https");
      assert.equal(headers.get("x-forwarded-port"), String(port));
      assert.equal(headers.get("x-forwarded-for"), "127.0.0.1");
    });

    it("send and receive large bodies whole", async (t) => {
      const body = Buffer.alloc(8 * MEBIBYTE, "0123456789abcdef!");
      const hash = createHash("sha256").update(body).digest("hex");
      const node = await startFunctionNode(t, {
        name: "a",
        answer: (_request, response, call) => {
          response.setHeader("x-body-hash", call.bodyHash);
          response.end(body);
        },
      });
      const { port } = await start(t, [node.port]);
      const client = await connectTlsClient(t, port, { ca });
      client.send(`POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: ${body.length}\r\n\r\n`);
      client.send(body);
      const response = await client.response("POST");
      assert.equal(response.header("x-body-hash"), hash);
      assert.equal(createHash("sha256").update(response.body).digest("hex"), hash);
    });

    it("that read nothing stop the node, and get everything when they read again", async (t) => {
      const total = 64 * MEBIBYTE;
      const block = Buffer.alloc(256 * 1024, "x");
      const origin = await startRawOrigin(t);
      const { port, until } = await start(t, [origin.port]);
      const client = await connectTlsClient(t, port, { ca });
      client.send(GET);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      client.socket.pause();
      node.send(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
      let sent = 0;
      const flood = () => {
        while (sent < total) {
          sent += block.length;
          if (!node.socket.write(block)) return;
        }
      };
      node.socket.on("drain", flood);
      flood();
      let before = -1;
      let stalls = 0;
      await until("the node to stand still", () => {
        stalls = sent === before ? stalls + 1 : 0;
        before = sent;
        return stalls > 20 || sent === total;
      });
      assert.ok(sent < total, `the node could send ${sent} bytes to nobody`);
      let received = 0;
      client.socket.removeAllListeners("data");
      client.socket.on("data", (chunk: Buffer) => {
        received += chunk.length;
      });
      client.socket.resume();
      await until("all of it to arrive", () => received > total);
    });

    it("open tunnels, in which a half-close of one side leaves the other its say", async (t) => {
      const origin = await startRawOrigin(t);
      const { port, until } = await start(t, [origin.port]);
      const client = await connectTlsClient(t, port, { ca });
      client.send(`${UPGRADE}early`);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      node.send(`${SWITCHED}hi`);
      await node.log.untilText("early");
      await client.log.untilText("\r\n\r\nhi");
      client.send("question");
      client.end();
      await node.log.untilText("question");
      await node.log.untilEnd();
      node.send("last words");
      node.end();
      await client.log.untilText("last words");
      await client.log.untilEnd();
      await until("the tunnel to be gone", ({ tunnels, connections }) => tunnels === 0 && connections === 0);
      assert.equal(client.log.errorCode, undefined);
    });

    it("see that a body was cut off", async (t) => {
      const origin = await startRawOrigin(t);
      const { port } = await start(t, [origin.port]);
      const client = await connectTlsClient(t, port, { ca });
      client.send(GET);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      node.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
      await client.log.untilText("half");
      node.reset();
      await client.log.untilClosed();
      assert.equal(client.log.errorCode, "ECONNRESET");
    });

    it("that reset in mid-body take the node's request with them", async (t) => {
      const origin = await startRawOrigin(t);
      const { port, until } = await start(t, [origin.port]);
      const client = await connectTlsClient(t, port, { ca });
      client.send("POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 10\r\n\r\nhalf");
      const node = await origin.accept();
      await node.log.untilText("half");
      client.reset();
      await until("the abort", ({ counters, exchanges }) => counters.clientAborts === 1 && exchanges === 0);
      await node.log.untilEnd();
    });

    it("that half-close behind a complete request are answered, and then closed", async (t) => {
      const { port, until } = await startAnswering(t);
      const client = await connectTlsClient(t, port, { ca });
      client.send(GET);
      client.end();
      assert.equal((await client.response()).body.toString(), "hello");
      await client.log.untilEnd();
      await until("the connection to be gone", ({ connections }) => connections === 0);
      assert.equal(client.log.errorCode, undefined);
    });

    it("get the certificate of the name they ask for, or the first", async (t) => {
      const files = certificateFiles(t);
      const certificates = [
        files.writePair("first", first),
        files.writePair("wild", authority.issue({ name: "wild", dns: ["*.example.com"] })),
        files.writePair("exact", authority.issue({ name: "exact", dns: ["a.example.com"] })),
      ];
      const { port } = await startAnswering(t, { certificates });
      const nameFor = async (servername?: string) => {
        const client = await connectTlsClient(t, port, { ca, ...(servername === undefined ? {} : { servername }) });
        const { CN } = client.socket.getPeerCertificate().subject;
        client.destroy();
        return CN;
      };
      assert.equal(await nameFor(), "first.example");
      assert.equal(await nameFor("a.example.com"), "exact");
      assert.equal(await nameFor("b.example.com"), "wild");
      assert.equal(await nameFor("unknown.example"), "first.example");
    });

    it("are served with an RSA key as well, of which each version is fine", async (t) => {
      const pair = certificateFiles(t).writePair("rsa", rsa);
      const { port } = await startAnswering(t, { certificates: [pair] });
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
        const client = await connectTlsClient(t, port, { ca, maxVersion });
        assert.equal((await client.ask(GET)).status, 200);
      }
    });

    it("are sent the whole chain", async (t) => {
      const between = authority.intermediate("between");
      const { cert, key } = between.issue({ dns: ["chained.example"] });
      const files = certificateFiles(t);
      const pair = files.writePair("chained", { cert: cert + between.cert, key });
      const { port } = await startAnswering(t, { certificates: [pair] });
      await assertServes(t, port);
    });

    it("are refused below the oldest version", async (t) => {
      const { port, event } = await startAnswering(t, { minVersion: "1.3" });
      await assert.rejects(connectTlsClient(t, port, { ca, maxVersion: "TLSv1.2" }), {
        code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
      });
      assert.equal((await event("handshake_failed")).code, "ERR_SSL_UNSUPPORTED_PROTOCOL");
      await assertServes(t, port);
    });

    it("are refused with TLS 1.1 at the default", async (t) => {
      const { port, event } = await startAnswering(t);
      const ancient = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
      await assert.rejects(connectTlsClient(t, port, { ca, ...ancient }), {
        code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
      });
      assert.equal((await event("handshake_failed")).code, "ERR_SSL_UNSUPPORTED_PROTOCOL");
      const modest = await connectTlsClient(t, port, { ca, maxVersion: "TLSv1.2" });
      assert.equal((await modest.ask(GET)).status, 200);
    });

    it("resume their sessions, with and without certificates of their own", async (t) => {
      const files = certificateFiles(t);
      const certificates = [
        files.writePair("first", first),
        files.writePair("second", authority.issue({ dns: ["second.example"] })),
      ];
      const clientCaFile = files.write("ca.crt", ca);
      const { port } = await startAnswering(t, { certificates, clientCaFile, clientCertificates: "request" });
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
        for (const servername of ["first.example", "second.example"]) {
          for (const own of [{}, authority.issue({ name: "me", usage: "client" })]) {
            const options = { ca, servername, maxVersion, ...own };
            const client = await connectTlsClient(t, port, options);
            const sessions: Buffer[] = maxVersion === "TLSv1.2" ? [client.socket.getSession() as Buffer] : [];
            client.socket.on("session", (session) => {
              sessions.push(session);
              client.log.wake();
            });
            assert.equal((await client.ask(GET)).status, 200);
            const session = await client.log.until("a session", () => sessions[0]);
            client.destroy();
            const again = await connectTlsClient(t, port, { ...options, session });
            assert.ok(again.socket.isSessionReused(), `${maxVersion} ${servername}`);
            assert.equal((await again.ask(GET)).status, 200);
            again.destroy();
          }
        }
      }
    });
  });

  describe(`certificates of clients, on ${sockets} sockets`, () => {
    const strangers = createAuthority("strangers");
    const cards = {
      none: {},
      good: authority.issue({ name: "me", usage: "client" }),
      "for servers": authority.issue({ name: "me" }),
      expired: authority.issue({ name: "me", usage: "client", validUntil: new Date(Date.now() - 3_600_000) }),
      "of another authority": strangers.issue({ name: "me", usage: "client" }),
    };
    const verdicts = {
      none: { none: "", good: "", "for servers": "", expired: "", "of another authority": "" },
      request: {
        none: "",
        good: "",
        "for servers": "INVALID_PURPOSE",
        expired: "CERT_HAS_EXPIRED",
        "of another authority": "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      },
      require: {
        none: "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE",
        good: "",
        "for servers": "INVALID_PURPOSE",
        expired: "CERT_HAS_EXPIRED",
        "of another authority": "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      },
    };
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      for (const [clientCertificates, verdict] of Object.entries(verdicts)) {
        it(`${clientCertificates}, with ${maxVersion}: ${JSON.stringify(verdict)}`, async (t) => {
          const clientCaFile = certificateFiles(t).write("ca.crt", ca);
          const { port, event, balancer } = await startAnswering(t, {
            clientCaFile,
            clientCertificates: clientCertificates as keyof typeof verdicts,
          });
          for (const [name, card] of Object.entries(cards)) {
            const code = verdict[name as keyof typeof cards];
            // With TLS 1.3 a client is done before the server has seen its certificate: it hears of it when it reads.
            const client = await connectTlsClient(t, port, { ca, maxVersion, ...card }).catch(() => undefined);
            client?.send(GET);
            if (code === "") assert.equal((await client?.response())?.status, 200, name);
            else {
              await client?.log.untilEnd();
              assert.equal(client?.text ?? "", "", name);
              assert.equal((await event("handshake_failed")).code, code, name);
            }
            client?.destroy();
          }
          const failed = Object.values(verdict).filter((code) => code !== "").length;
          const { counters } = balancer.snapshot();
          assert.deepEqual(
            [counters.handshakesFailed, counters.connectionsAccepted],
            [failed, Object.keys(cards).length - failed],
          );
        });
      }
    }
  });

  describe(`a TLS listener under fire, on ${sockets} sockets`, () => {
    it("survives plain HTTP, garbage, silence and resets in the handshake", async (t) => {
      const { port, until, event, balancer } = await startAnswering(t);
      const plain = await connectClient(t, port);
      plain.send(GET);
      assert.equal((await event("handshake_failed")).code, "ERR_SSL_HTTP_REQUEST");
      await plain.log.untilEnd();

      const garbage = await connectClient(t, port);
      garbage.send(Buffer.alloc(5000, 0xa5));
      await garbage.log.untilEnd();
      assert.match(String((await event("handshake_failed")).code), /^ERR_SSL_/);

      const leaving = await connectClient(t, port);
      leaving.end();
      await leaving.log.untilEnd();
      assert.equal((await event("handshake_failed")).code, "ECONNRESET");

      // The first bytes of a ClientHello, and then nothing more.
      for (const goodbye of ["reset", "destroy"] as const) {
        const rude = await connectClient(t, port);
        rude.send(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]));
        rude[goodbye]();
        assert.equal((await event("handshake_failed")).code, "ECONNRESET");
      }
      await until("five failures", ({ counters }) => counters.handshakesFailed === 5);
      assert.equal(balancer.snapshot().counters.connectionsAccepted, 0);
      await assertServes(t, port);
    });

    it("ends handshakes that are under way when it closes", async (t) => {
      const { port, balancer } = await startAnswering(t);
      const silent = await connectClient(t, port);
      await assertServes(t, port);
      assert.deepEqual(await balancer.drain(), { cut: 0 });
      await silent.log.untilEnd();
    });

    it("does not let a client negotiate anew", async (t) => {
      const { port } = await startAnswering(t);
      const client = await connectTlsClient(t, port, { ca, maxVersion: "TLSv1.2" });
      const refusal = await new Promise<Error | null>((resolve) => {
        client.socket.once("error", resolve);
        client.socket.renegotiate({}, resolve);
      });
      assert.ok(refusal !== null);
      await assertServes(t, port);
    });
  });

  describe(`certificates that change, on ${sockets} sockets`, () => {
    it("are for new connections; one that stands goes on, in mid-body too", async (t) => {
      const files = certificateFiles(t);
      const pair = files.writePair("first", first);
      const origin = await startRawOrigin(t);
      const { port, balancer, event } = await start(t, [origin.port], { certificates: [pair] });
      const old = await connectTlsClient(t, port, { ca });
      old.send(GET);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      node.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
      await old.log.untilText("hello");

      files.writePair("first", authority.issue({ name: "next", dns: ["first.example"] }));
      await balancer.reloadCertificates();
      assert.deepEqual((await event("certificates_reloaded")).files, [pair.certFile]);
      for (const servername of [undefined, "first.example"]) {
        const fresh = await connectTlsClient(t, port, { ca, ...(servername === undefined ? {} : { servername }) });
        assert.equal(fresh.socket.getPeerCertificate().subject.CN, "next");
      }
      node.send("world");
      assert.equal((await old.response()).body.toString(), "helloworld");
      old.send(GET);
      await node.log.untilText(`\r\n\r\n${GET.slice(0, 5)}`);
    });

    it("are noticed within ten seconds", async (t) => {
      const clock = new FakeClock();
      const files = certificateFiles(t);
      const pair = files.writePair("first", first);
      const { event, port } = await startBalancer(
        t,
        { nodes: [1], listeners: [listening({ certificates: [pair] })] },
        { sockets, clock },
      );
      files.writePair("first", authority.issue({ name: "next", dns: ["first.example"] }));
      await clock.advance(10_000);
      await event("certificates_reloaded");
      const client = await connectTlsClient(t, port, { ca });
      assert.equal(client.socket.getPeerCertificate().subject.CN, "next");
    });

    it("stay when the new ones are bad, and the log says which file", async (t) => {
      const files = certificateFiles(t);
      const pair = files.writePair("first", first);
      const { port, balancer, event } = await startAnswering(t, { certificates: [pair] });
      files.write("first.key", "no key");
      await balancer.reloadCertificates();
      const { reason } = await event("certificates_reload_failed");
      assert.equal(reason, `file "${pair.keyFile}" must hold a PEM private key, got none`);
      await assertServes(t, port);
    });

    it("are known to operators with the day on which they expire, that of a new one once it is in use", async (t) => {
      const until = (days: number) => new Date(Math.floor(Date.now() / 1000) * 1000 + days * 86_400_000);
      const files = certificateFiles(t);
      const issued = (days: number) => authority.issue({ dns: ["fn.example"], validUntil: until(days) });
      const pair = files.writePair("first", issued(3));
      const { balancer } = await startAnswering(t, { certificates: [pair] });
      const expiry = () => /^fnlb_certificate_expiry_timestamp_seconds(.*)$/m.exec(scrapedText(balancer))?.[1];
      assert.equal(expiry(), `{file="${pair.certFile}"} ${until(3).getTime() / 1000}`);
      files.writePair("first", issued(90));
      await balancer.reloadCertificates();
      assert.equal(expiry(), `{file="${pair.certFile}"} ${until(90).getTime() / 1000}`);
    });

    it("bad at the start: nothing is opened and the error names the file", async (t) => {
      const keyFile = certificateFiles(t).write("x.key", "");
      await assert.rejects(startAnswering(t, { certificates: [{ certFile: "/nowhere.crt", keyFile }] }), {
        code: "ERR_OPTION",
        message: 'file "/nowhere.crt" must be readable, got ENOENT',
      });
    });

    it("expired: is used, and the log says so", async (t) => {
      const issued = authority.issue({ dns: ["old.example"], validUntil: new Date(Date.now() - 3_600_000) });
      const pair = certificateFiles(t).writePair("old", issued);
      const { port, event } = await startAnswering(t, { certificates: [pair] });
      const { file, names } = await event("certificate_not_valid");
      assert.deepEqual([file, names], [pair.certFile, ["old.example"]]);
      await assert.rejects(connectTlsClient(t, port, { ca }), { code: "CERT_HAS_EXPIRED" });
    });
  });

  describe(`listeners side by side, on ${sockets} sockets`, () => {
    it("one in TLS and one in the clear serve the same nodes, each under its own scheme", async (t) => {
      const node = await startFunctionNode(t, { name: "a" });
      const certificates = [certificateFiles(t).writePair("first", first)];
      const clear: ListenerConfig = { address: { kind: "tcp", host: "127.0.0.1", port: 0 }, proxyProtocol: false };
      const { addresses } = await startBalancer(
        t,
        { nodes: [node.port], listeners: [clear, listening({ certificates })], forwardedHeaders: "forwarded" },
        { sockets },
      );
      const [clearPort, tlsPort] = addresses.map((address) => Number(/\d+$/.exec(address)));
      await (await connectClient(t, clearPort)).ask(GET);
      await (await connectTlsClient(t, tlsPort, { ca })).ask(GET);
      const said = node.calls.map(({ rawHeaders }) => rawHeaders[rawHeaders.indexOf("Forwarded") + 1]);
      assert.deepEqual(
        said.map((line) => /proto=(\w+)/.exec(line)?.[1]),
        ["http", "https"],
      );
    });

    it("a unix socket speaks TLS as well", async (t) => {
      const origin = await startRawOrigin(t, answering(ok("hello")));
      const files = certificateFiles(t);
      const path = files.write("socket", "").replace(/socket$/, "fnlb.sock");
      const listener = listening({ certificates: [files.writePair("first", first)] });
      await startBalancer(
        t,
        { nodes: [origin.port], listeners: [{ ...listener, address: { kind: "unix", path } }] },
        { sockets },
      );
      const client = await connectTlsClient(t, () => connect({ path, allowHalfOpen: true }), { ca });
      assert.equal((await client.ask(GET)).body.toString(), "hello");
      client.end();
      await client.log.untilEnd();
    });
  });
}
