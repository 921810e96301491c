import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it, type TestContext } from "node:test";
import type { NodeConfig } from "../../src/config/config.js";
import type { TlsNodeConfig } from "../../src/config/tls.js";
import { startBalancer, type TestBalancer } from "../support/balancer.js";
import { certificateFiles, createAuthority, selfSigned } from "../support/certificates.js";
import { startFunctionNode } from "../support/function-node.js";
import { pathsOf } from "../support/paths.js";
import { answering, ok, refusingPort, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { startTlsOrigin } from "../support/tls-peers.js";
import { assertProblem } from "../support/wire.js";

const authority = createAuthority();
const localhost = authority.issue({ dns: ["localhost"], ips: ["127.0.0.1"] });
const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";
const UPGRADE = "GET /ws HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

/** A node in TLS on a port of this machine, known by its address. */
function secureNode(port: number, tls: Partial<TlsNodeConfig>, host = "127.0.0.1"): NodeConfig {
  return {
    id: `https://${host}:${port}`,
    address: { kind: "tcp", host, port, basePath: "", tls: true },
    weight: 1,
    tls: { caFile: "", serverName: "", certFile: "", keyFile: "", verifies: true, ...tls },
  };
}

for (const sockets of ["fast", "plain"]) {
  const start = (t: TestContext, nodes: readonly NodeConfig[], config = {}): Promise<TestBalancer> =>
    startBalancer(t, { nodes, ...config }, { sockets });

  const caOf = (t: TestContext) => certificateFiles(t).write("ca.crt", authority.cert);

  /** The one node cannot be reached for that reason, and is dead. */
  async function assertDead(t: TestContext, node: NodeConfig, code: string | RegExp): Promise<void> {
    const { port, event, balancer } = await start(t, [node]);
    const client = await connectClient(t, port);
    assertProblem(await client.ask(GET), 502, "ERR_NO_FALLBACK_NODE_FOUND");
    const { node: id, code: said } = await event("node_dead");
    assert.equal(id, node.id);
    assert.match(String(said), typeof code === "string" ? new RegExp(`^${code}$`) : code);
    assert.equal(balancer.snapshot().nodes[0].alive, false);
  }

  describe(`a node in TLS, on ${sockets} sockets`, () => {
    it("is asked over connections that are used again", async (t) => {
      const node = await startFunctionNode(t, { name: "a", tls: localhost });
      const { port, balancer } = await start(t, [secureNode(node.port, { caFile: caOf(t) })]);
      const client = await connectClient(t, port);
      for (let request = 0; request < 3; request++) assert.equal((await client.ask(GET)).json().node, "a");
      assert.deepEqual([node.connections, balancer.snapshot().counters.dials], [1, 1]);
    });

    it("gets and sends large bodies whole", async (t) => {
      const body = Buffer.alloc(8 * 1024 * 1024, "0123456789abcdef!");
      const hash = createHash("sha256").update(body).digest("hex");
      const node = await startFunctionNode(t, {
        name: "a",
        tls: localhost,
        answer: (_request, response, call) => {
          response.setHeader("x-body-hash", call.bodyHash);
          response.end(body);
        },
      });
      const { port } = await start(t, [secureNode(node.port, { caFile: caOf(t) })]);
      const client = await connectClient(t, port);
      client.send(`POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: ${body.length}\r\n\r\n`);
      client.send(body);
      const response = await client.response("POST");
      assert.equal(response.header("x-body-hash"), hash);
      assert.equal(createHash("sha256").update(response.body).digest("hex"), hash);
    });

    it("that does not read stops the client, and gets everything when it reads again", async (t) => {
      const total = 64 * 1024 * 1024;
      const block = Buffer.alloc(256 * 1024, "x");
      const origin = await startTlsOrigin(t, localhost);
      const { port, until } = await start(t, [secureNode(origin.port, { caFile: caOf(t) })]);
      const client = await connectClient(t, port);
      client.send(`POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: ${total}\r\n\r\n`);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      const headBytes = node.log.bytes.length;
      node.socket.pause();
      let sent = 0;
      const flood = () => {
        while (sent < total) {
          sent += block.length;
          if (!client.socket.write(block)) return;
        }
      };
      client.socket.on("drain", flood);
      flood();
      let before = -1;
      let stalls = 0;
      await until("the client to stand still", () => {
        stalls = sent === before ? stalls + 1 : 0;
        before = sent;
        return stalls > 20 || sent === total;
      });
      assert.ok(sent < total, `the client could send ${sent} bytes to nobody`);
      let received = headBytes;
      node.socket.removeAllListeners("data");
      node.socket.on("data", (chunk: Buffer) => {
        received += chunk.length;
      });
      node.socket.resume();
      await until("all of it to arrive", () => received >= headBytes + total);
      node.send(ok("thanks"));
      assert.equal((await client.response("POST")).body.toString(), "thanks");
    });

    it("is asked for by name, its own or the one that is configured", async (t) => {
      const names: (string | false | null)[] = [];
      const issued = authority.issue({ dns: ["localhost", "fn.example"] });
      const origin = await startTlsOrigin(t, issued, (peer) => {
        answering(ok("hello"))(peer);
      });
      const caFile = caOf(t);
      for (const node of [
        secureNode(origin.port, { caFile }, "localhost"),
        secureNode(origin.port, { caFile, serverName: "fn.example" }),
      ]) {
        const { port } = await startBalancer(t, { nodes: [node] }, { sockets, resolve: async () => ["127.0.0.1"] });
        const client = await connectClient(t, port);
        assert.equal((await client.ask(GET)).body.toString(), "hello");
        const { socket } = await origin.accept();
        names.push((socket as { readonly servername?: string | false }).servername ?? null);
      }
      assert.deepEqual(names, ["localhost", "fn.example"]);
    });

    it("that is an address is not asked for by name, but its certificate must be for that address", async (t) => {
      const origin = await startTlsOrigin(t, localhost, answering(ok("hello")));
      const caFile = caOf(t);
      const { port } = await start(t, [secureNode(origin.port, { caFile })]);
      assert.equal((await (await connectClient(t, port)).ask(GET)).body.toString(), "hello");
      const { socket } = await origin.accept();
      assert.equal((socket as { readonly servername?: string | false }).servername, false);
      const elsewhere = await startTlsOrigin(t, authority.issue({ dns: ["localhost"], ips: ["127.0.0.2"] }));
      await assertDead(t, secureNode(elsewhere.port, { caFile }), "ERR_TLS_CERT_ALTNAME_INVALID");
    });

    it("is dead when its certificate is for another name, and its requests go elsewhere", async (t) => {
      const caFile = caOf(t);
      const wrong = await startFunctionNode(t, { name: "wrong", tls: authority.issue({ dns: ["other.example"] }) });
      const right = await startFunctionNode(t, { name: "right", tls: localhost });
      const nodes = [secureNode(wrong.port, { caFile }), secureNode(right.port, { caFile })];
      const { port, event } = await start(t, nodes);
      const [path] = pathsOf(nodes, nodes[0].id, 1);
      const client = await connectClient(t, port);
      const request = `POST ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: 2\r\n\r\nok`;
      assert.equal((await client.ask(request, "POST")).json().node, "right");
      const { node, code } = await event("node_dead");
      assert.deepEqual([node, code, wrong.headsSeen], [nodes[0].id, "ERR_TLS_CERT_ALTNAME_INVALID", 0]);
    });

    it("is dead when nobody we trust vouches for it", async (t) => {
      const stranger = createAuthority("stranger");
      const origin = await startTlsOrigin(t, stranger.issue({ ips: ["127.0.0.1"] }));
      await assertDead(t, secureNode(origin.port, { caFile: caOf(t) }), "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
      await assertDead(t, secureNode(origin.port, {}), "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    });

    it("may vouch for itself when that very certificate is trusted, and is dead otherwise", async (t) => {
      const issued = selfSigned({ ips: ["127.0.0.1"] });
      const node = await startFunctionNode(t, { name: "a", tls: issued });
      const caFile = certificateFiles(t).write("node.crt", issued.cert);
      const { port } = await start(t, [secureNode(node.port, { caFile })]);
      assert.equal((await (await connectClient(t, port)).ask(GET)).json().node, "a");
      await assertDead(t, secureNode(node.port, { caFile: caOf(t) }), "DEPTH_ZERO_SELF_SIGNED_CERT");
    });

    it("is dead when its certificate has expired", async (t) => {
      const validUntil = new Date(Date.now() - 3_600_000);
      const origin = await startTlsOrigin(t, authority.issue({ ips: ["127.0.0.1"], validUntil }));
      await assertDead(t, secureNode(origin.port, { caFile: caOf(t) }), "CERT_HAS_EXPIRED");
    });

    it("is dead when it speaks no TLS, or only an old one", async (t) => {
      const caFile = caOf(t);
      const plain = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.send(ok("hello"))));
      await assertDead(t, secureNode(plain.port, { caFile }), /^ERR_SSL_|EPROTO/);
      const closing = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.end()));
      await assertDead(t, secureNode(closing.port, { caFile }), "ECONNRESET");
      const old = await startTlsOrigin(t, {
        ...localhost,
        minVersion: "TLSv1",
        maxVersion: "TLSv1.1",
        ciphers: "DEFAULT@SECLEVEL=0",
      });
      await assertDead(t, secureNode(old.port, { caFile }), /^ERR_SSL_/);
      await assertDead(t, secureNode(await refusingPort(t), { caFile }), "ECONNREFUSED");
    });

    it("that is silent in its handshake is given up at the connect timeout, and the connection closed", async (t) => {
      const silent = await startRawOrigin(t);
      const { port, event } = await start(t, [secureNode(silent.port, { caFile: caOf(t) })], { connectTimeoutMs: 50 });
      const client = await connectClient(t, port);
      client.send(GET);
      const peer = await silent.accept();
      assertProblem(await client.response(), 502, "ERR_NO_FALLBACK_NODE_FOUND");
      assert.equal((await event("node_dead")).code, "ETIMEDOUT");
      await peer.log.untilEnd();
    });

    it("may be anybody when verification is off", async (t) => {
      const stranger = createAuthority("stranger").issue({ dns: ["other.example"] });
      const node = await startFunctionNode(t, { name: "a", tls: stranger });
      const { port } = await start(t, [secureNode(node.port, { verifies: false })]);
      const client = await connectClient(t, port);
      assert.equal((await client.ask(GET)).json().node, "a");
    });

    it("is shown our certificate when it asks for one", async (t) => {
      const files = certificateFiles(t);
      const caFile = files.write("ca.crt", authority.cert);
      const card = files.writePair("me", authority.issue({ name: "balancer", usage: "client" }));
      const origin = await startTlsOrigin(
        t,
        { ...localhost, ca: authority.cert, requestCert: true },
        answering(ok("hello")),
      );
      const { port } = await start(t, [secureNode(origin.port, { caFile, ...card })]);
      const client = await connectClient(t, port);
      assert.equal((await client.ask(GET)).body.toString(), "hello");
      const { socket } = await origin.accept();
      assert.equal(socket.getPeerCertificate().subject.CN, "balancer");
    });

    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      it(`that wants a certificate which we do not have, with ${maxVersion}: nobody is answered`, async (t) => {
        const strict = { ...localhost, ca: authority.cert, requestCert: true, maxVersion };
        const origin = await startTlsOrigin(t, strict, answering(ok("hello")));
        const { port, balancer } = await start(t, [secureNode(origin.port, { caFile: caOf(t) })]);
        const client = await connectClient(t, port);
        // Before 1.3 the handshake fails. With it, it is over before the node has seen that there is none.
        const isTold = maxVersion === "TLSv1.2";
        assertProblem(await client.ask(GET), 502, isTold ? "ERR_NO_FALLBACK_NODE_FOUND" : "ERR_NODE_CLOSED");
        assert.equal(balancer.snapshot().nodes[0].alive, !isTold);
        assert.deepEqual(new Set(origin.failures), new Set(["ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE"]));
      });
    }

    it("resumes the session of the last connection", async (t) => {
      const origin = await startTlsOrigin(t, localhost, answering(ok("hello", "Connection: close\r\n")));
      const { port } = await start(t, [secureNode(origin.port, { caFile: caOf(t) })]);
      const client = await connectClient(t, port);
      for (const isReused of [false, true, true]) {
        assert.equal((await client.ask(GET)).body.toString(), "hello");
        assert.equal((await origin.accept()).socket.isSessionReused(), isReused);
      }
    });

    it("is dialled with new authorities as soon as they are there, and never with a session from before", async (t) => {
      const files = certificateFiles(t);
      const caFile = files.write("ca.crt", authority.cert);
      const node = await startFunctionNode(t, {
        name: "a",
        tls: localhost,
        answer: (_request, response) => {
          response.setHeader("connection", "close");
          response.end("hello");
        },
      });
      const { port, balancer, event } = await start(t, [secureNode(node.port, { caFile })], { pingIntervalMs: 20 });
      const client = await connectClient(t, port);
      assert.equal((await client.ask(GET)).status, 200);
      files.write("ca.crt", createAuthority("another").cert);
      await balancer.reloadCertificates();
      assert.deepEqual((await event("certificates_reloaded")).files, [caFile]);
      assertProblem(await client.ask(GET), 502, "ERR_NO_FALLBACK_NODE_FOUND");
      assert.equal((await event("node_dead")).code, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
      files.write("ca.crt", authority.cert);
      await balancer.reloadCertificates();
      await event("node_alive");
      assert.equal((await client.ask(GET)).status, 200);
    });

    it("keeps what it is dialled with when the new files are bad", async (t) => {
      const files = certificateFiles(t);
      const caFile = files.write("ca.crt", authority.cert);
      const node = await startFunctionNode(t, { name: "a", tls: localhost });
      const { port, balancer, event } = await start(t, [secureNode(node.port, { caFile })]);
      files.write("ca.crt", "");
      await balancer.reloadCertificates();
      const { reason } = await event("certificates_reload_failed");
      assert.equal(reason, `file "${caFile}" must hold a PEM certificate, got none`);
      const client = await connectClient(t, port);
      assert.equal((await client.ask(GET)).json().node, "a");
    });

    it("with files that are bad at the start: nothing is opened and the error names the file", async (t) => {
      const card = certificateFiles(t).writePair("me", localhost);
      for (const [tls, message] of [
        [{ caFile: "/nowhere.crt" }, /^file "\/nowhere\.crt" must be readable, got ENOENT$/],
        [{ certFile: card.certFile }, /must have its key file/],
        [{ certFile: card.certFile, keyFile: card.certFile }, /must hold a PEM private key, got none/],
      ] as const) {
        const starting = async () => start(t, [secureNode(1, tls)]);
        await assert.rejects(starting, { code: "ERR_OPTION", message });
      }
    });

    it("carries tunnels, in which a half-close of one side leaves the other its say", async (t) => {
      const origin = await startTlsOrigin(t, localhost);
      const { port, until } = await start(t, [secureNode(origin.port, { caFile: caOf(t) })]);
      const client = await connectClient(t, port);
      client.send(UPGRADE);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      node.send(`${SWITCHED}hi`);
      await client.log.untilText("\r\n\r\nhi");
      node.send("last words");
      node.end();
      await client.log.untilText("last words");
      await client.log.untilEnd();
      client.send("an answer");
      client.end();
      await node.log.untilText("an answer");
      await node.log.untilEnd();
      await until("the tunnel to be gone", ({ tunnels, nodes }) => tunnels === 0 && nodes[0].connections === 0);
    });

    it("hands over what came with its end, and the end", async (t) => {
      const body = "x".repeat(100_000);
      const origin = await startTlsOrigin(t, localhost, (peer) => {
        peer.socket.once("data", () => {
          peer.send(`HTTP/1.1 200 OK\r\n\r\n${body}`);
          peer.end();
        });
      });
      const { port } = await start(t, [secureNode(origin.port, { caFile: caOf(t) })]);
      const client = await connectClient(t, port);
      assert.equal((await client.ask(GET)).body.toString(), body);
    });

    for (const [how, goodbye] of [
      ["closes in TLS", "end"],
      ["resets", "reset"],
      ["goes without a goodbye", "cut"],
    ] as const) {
      it(`that ${how} in a counted body: the client is reset`, async (t) => {
        const origin = await startTlsOrigin(t, localhost);
        const { port } = await start(t, [secureNode(origin.port, { caFile: caOf(t) })]);
        const client = await connectClient(t, port);
        client.send(GET);
        const node = await origin.accept();
        await node.log.untilText("\r\n\r\n");
        node.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        await client.log.untilText("half");
        if (goodbye === "cut") node.carrier.destroy();
        else node[goodbye]();
        await client.log.untilClosed();
        assert.equal(client.log.errorCode, "ECONNRESET");
      });
    }

    it("that goes without a goodbye in a body that lasts until close: nobody can tell", async (t) => {
      const origin = await startTlsOrigin(t, localhost);
      const { port } = await start(t, [secureNode(origin.port, { caFile: caOf(t) })]);
      const client = await connectClient(t, port);
      client.send(GET);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      node.socket.write("HTTP/1.1 200 OK\r\n\r\nhalf", () => node.carrier.destroy());
      assert.equal((await client.response()).body.toString(), "half");
    });

    it("that resets in a body that lasts until close: the client is reset", async (t) => {
      const origin = await startTlsOrigin(t, localhost);
      const { port } = await start(t, [secureNode(origin.port, { caFile: caOf(t) })]);
      const client = await connectClient(t, port);
      client.send(GET);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      node.socket.write("HTTP/1.1 200 OK\r\n\r\nhalf", () => node.reset());
      await client.log.untilClosed();
      assert.equal(client.log.errorCode, "ECONNRESET");
      assert.ok(!client.text.endsWith("0\r\n\r\n"));
    });
  });
}
