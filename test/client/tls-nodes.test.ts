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

describe("https nodes of a dispatcher", () => {
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
    for (const tls of [
      { cert: "nothing", key: "nothing" },
      { cert: localhost.cert, key: createAuthority().issue({}).key },
    ])
      assert.throws(() => new FallbackRoundTripper({ nodes, tls }), { code: "ERR_OPTION", message: /^option "tls"/ });
  });
});
