import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { fetch as undiciFetch } from "undici";
import { FallbackRoundTripper, type FallbackRoundTripperOptions } from "../../src/client/fallback-round-tripper.js";
import { consistentHashReverseProxy } from "../../src/client/reverse-proxy.js";
import type { LogFields } from "../../src/core/log.js";
import { ByteLog } from "../support/byte-log.js";
import { createAuthority } from "../support/certificates.js";
import { FakeClock } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { startTlsOrigin } from "../support/tls-peers.js";

const authority = createAuthority();
const ca = authority.cert;
const localhost = authority.issue({ dns: ["localhost"], ips: ["127.0.0.1"] });

function open(t: TestContext, options: FallbackRoundTripperOptions) {
  const events: LogFields[] = [];
  const arrivals = new ByteLog();
  const note = (fields: LogFields) => {
    events.push(fields);
    arrivals.wake();
  };
  const log = { debug: note, info: note, warn: note, error: note };
  const dispatcher = new FallbackRoundTripper({ log, ...options });
  t.after(() => dispatcher.destroy());
  const event = (name: string) => arrivals.until(`event ${name}`, () => events.find((fields) => fields.event === name));
  return { dispatcher, event };
}

async function ask(dispatcher: FallbackRoundTripper, url = "http://functions.example/f"): Promise<string> {
  const response = await undiciFetch(url, { dispatcher });
  return ((await response.json()) as { readonly node: string }).node;
}

/** What a fetch failed for, below undici's own error. */
async function failureOf(fetching: Promise<unknown>): Promise<unknown> {
  const error = await fetching.then(
    () => assert.fail("it was answered"),
    (failure: Error) => failure,
  );
  const { cause = error } = error;
  return (cause as { readonly code?: unknown }).code;
}

describe("the library's https nodes", () => {
  it("are spoken to in TLS, over connections that are used again, whatever hosts are asked for", async (t) => {
    const origin = await startTlsOrigin(t, localhost, answering(ok('{"node":"a"}')));
    const { dispatcher } = open(t, { nodes: `https://127.0.0.1:${origin.port}`, tls: { ca } });
    const asked = ["one.example", "two.example", "127.0.0.1:81", "one.example", "two.example", "three.example"];
    for (const host of asked) assert.equal(await ask(dispatcher, `http://${host}/f`), "a");
    const { length } = origin.connections;
    // A second one where the next request came before the last one had been put away.
    assert.ok(length <= 2, `another Host is not another node: ${length} connections`);
    const texts = origin.connections.map(({ text }) => text).join("");
    for (const host of asked) assert.match(texts, new RegExp(`\r\nhost: ${host}\r\n`, "i"));
  });

  it("are asked for by their own name or by the one that is given, never by the Host of a request", async (t) => {
    const issued = authority.issue({ dns: ["localhost", "fn.internal"] });
    const origin = await startTlsOrigin(t, issued, answering(ok('{"node":"a"}', "Content-Type: application/json\r\n")));
    for (const [host, tls, name] of [
      ["localhost", { ca }, "localhost"],
      ["127.0.0.1", { ca, servername: "fn.internal" }, "fn.internal"],
    ] as const) {
      const { dispatcher } = open(t, { nodes: `https://${host}:${origin.port}`, tls });
      assert.equal(await ask(dispatcher), "a");
      const { socket } = await origin.accept();
      assert.equal((socket as { readonly servername?: string | false }).servername, name);
    }
  });

  it("are dead when nobody we trust vouches for them, which is so by default", async (t) => {
    const node = await startFunctionNode(t, { name: "a", tls: localhost });
    const { dispatcher, event } = open(t, { nodes: `https://127.0.0.1:${node.port}` });
    assert.equal(await failureOf(ask(dispatcher)), "ERR_NO_FALLBACK_NODE_FOUND");
    assert.equal((await event("node_dead")).code, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    assert.equal(node.headsSeen, 0);
  });

  it("are dead when their certificate is for another name, and their requests go elsewhere, bodies and all", async (t) => {
    const other = authority.issue({ dns: ["functions.example"] });
    const wrong = await startFunctionNode(t, { name: "wrong", tls: other });
    const right = await startFunctionNode(t, { name: "right" });
    const nodes = [`https://127.0.0.1:${wrong.port}`, `127.0.0.1:${right.port}`];
    const { dispatcher, event } = open(t, { nodes, tls: { ca } });
    for (let number = 0; number < 8; number++) {
      const response = await undiciFetch(`http://functions.example/f${number}`, {
        dispatcher,
        method: "POST",
        body: "x",
      });
      assert.equal(((await response.json()) as { readonly node: string }).node, "right");
    }
    assert.equal((await event("node_dead")).code, "ERR_TLS_CERT_ALTNAME_INVALID");
    assert.equal(wrong.headsSeen, 0);
  });

  it("are not verified when that is said", async (t) => {
    const stranger = createAuthority("stranger").issue({ dns: ["other.example"] });
    const node = await startFunctionNode(t, { name: "a", tls: stranger });
    const { dispatcher } = open(t, { nodes: `https://127.0.0.1:${node.port}`, tls: { rejectUnauthorized: false } });
    assert.equal(await ask(dispatcher), "a");
  });

  it("are shown a certificate of ours", async (t) => {
    const card = authority.issue({ name: "caller", usage: "client" });
    const strict = { ...localhost, ca, requestCert: true, rejectUnauthorized: true };
    const origin = await startTlsOrigin(t, strict, answering(ok('{"node":"a"}')));
    const { dispatcher } = open(t, { nodes: `https://127.0.0.1:${origin.port}`, tls: { ca, ...card } });
    assert.equal(await ask(dispatcher), "a");
    assert.equal((await origin.accept()).socket.getPeerCertificate().subject.CN, "caller");
  });

  it("are given up when they are silent in the handshake", async (t) => {
    const clock = new FakeClock();
    const silent = await startRawOrigin(t);
    const nodes = `https://127.0.0.1:${silent.port}`;
    const { dispatcher, event } = open(t, { nodes, tls: { ca }, connectTimeoutMs: 50, clock });
    const failing = failureOf(ask(dispatcher));
    const peer = await silent.accept();
    await peer.log.untilLength(1);
    await clock.advance(50);
    assert.equal(await failing, "ERR_NO_FALLBACK_NODE_FOUND");
    assert.equal((await event("node_dead")).code, "ETIMEDOUT");
    await peer.log.untilEnd();
  });

  it("come back by a ping that shakes hands: one that only accepts does not", async (t) => {
    const clock = new FakeClock();
    const node = await startFunctionNode(t, { name: "a", tls: localhost });
    const { port } = node;
    await node.stop();
    const { dispatcher, event } = open(t, {
      nodes: `https://127.0.0.1:${port}`,
      tls: { ca },
      clock,
      pingIntervalMs: 1000,
    });
    assert.equal(await failureOf(ask(dispatcher)), "ERR_NO_FALLBACK_NODE_FOUND");
    await event("node_dead");
    const plain = await startRawOrigin(t, () => {}, port);
    await clock.advance(1200);
    const pinged = await plain.accept();
    assert.equal((await pinged.log.untilLength(1))[0], 22, "a ClientHello");
    pinged.destroy();
    assert.equal(dispatcher.nodes[0].alive, false);
    await plain.stop();
    await node.start();
    let isBack = false;
    void event("node_alive").then(() => {
      isBack = true;
    });
    while (!isBack) await clock.advance(100);
    assert.equal(await ask(dispatcher), "a");
  });

  it("are asked in TLS whether they still answer", async (t) => {
    const clock = new FakeClock();
    const origin = await startTlsOrigin(t, localhost);
    const nodes = `https://127.0.0.1:${origin.port}`;
    const { dispatcher } = open(t, { nodes, tls: { ca }, clock, silenceMs: 1000 });
    const asking = ask(dispatcher);
    const slow = await origin.accept();
    await slow.log.untilText("\r\n\r\n");
    await clock.advance(1500);
    const question = await origin.accept();
    await question.log.untilText("OPTIONS * HTTP/1.1\r\n");
    question.send(ok(""));
    await question.log.untilEnd();
    assert.equal(dispatcher.nodes[0].suspect, false);
    slow.send(ok('{"node":"slow"}'));
    assert.equal(await asking, "slow");
  });

  it("may stand behind a reverse proxy", async (t) => {
    const node = await startFunctionNode(t, { name: "a", tls: localhost });
    const proxy = consistentHashReverseProxy({ nodes: `https://127.0.0.1:${node.port}`, tls: { ca } });
    const server = createServer(proxy).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    t.after(async () => {
      server.close();
      server.closeAllConnections();
      await proxy.close();
    });
    const response = await undiciFetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/f`);
    assert.equal(((await response.json()) as { readonly node: string }).node, "a");
  });

  it("with texts that TLS cannot use are refused at once", () => {
    const nodes = "https://a";
    for (const tls of [{ ca: "nothing", cert: "nothing", key: "nothing" }, { cert: ca }, { key: localhost.key }])
      assert.throws(() => new FallbackRoundTripper({ nodes, tls }), { code: "ERR_OPTION", message: /^option "tls"/ });
  });
});
