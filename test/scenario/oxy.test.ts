import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { localNode, startBalancer } from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { startFunctionNode } from "../support/function-node.js";
import { startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { connectTlsClient } from "../support/tls-peers.js";
import { assertForwarded, assertProblem, startWire } from "../support/wire.js";

const GET = "GET /f HTTP/1.1\r\nHost: fn\r\n\r\n";
const STICKY = { stickyCookie: "at", stickySecrets: ["0123456789abcdef"] };

describe("O2: a cluster that cannot serve", () => {
  for (const policy of ["ring-hash", "weighted-round-robin"] as const) {
    it(`answers 503 with a reason of its own, and no cookie, when it has no nodes (${policy})`, async (t) => {
      const { port } = await startBalancer(t, { nodes: [], policy, ...STICKY });
      const client = await connectClient(t, port);
      for (let number = 0; number < 2; number++) {
        const response = await client.ask(GET);
        assertProblem(response, 503, "ERR_NO_NODE");
        assert.deepEqual([response.header("set-cookie"), response.header("retry-after")], [undefined, "1"]);
      }
    });

    it(`answers 503 with another one when all weights are 0 (${policy})`, async (t) => {
      const nodes = [await startFunctionNode(t, { name: "a" }), await startFunctionNode(t, { name: "b" })];
      const { port } = await startBalancer(t, {
        nodes: nodes.map((node) => localNode(node.port, 0)),
        policy,
        ...STICKY,
      });
      const response = await (await connectClient(t, port)).ask(GET);
      assertProblem(response, 503, "ERR_NO_ACTIVE_NODE");
      assert.equal(response.header("set-cookie"), undefined);
      assert.deepEqual(
        nodes.map((node) => node.headsSeen),
        [0, 0],
      );
    });
  }
});

describe("O18: forwarding headers", () => {
  const names = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "Forwarded"];

  for (const name of names) {
    it(`cannot be deleted by Connection: ${name}`, async (t) => {
      const wire = await startWire(t, { forwardedHeaders: "both" });
      const all = wire.added().replace("Via:", 'Forwarded: for=127.0.0.1;proto=http;host="fn"\r\nVia:');
      await assertForwarded(
        wire,
        `GET /f HTTP/1.1\r\nHost: fn\r\nConnection: ${name}, close\r\n\r\n`,
        `GET /f HTTP/1.1\r\nHost: fn\r\n${all}`,
      );
    });
  }

  it("of a trusted peer cannot be deleted so either", async (t) => {
    const wire = await startWire(t, { trustedProxies: ["127.0.0.0/8"] });
    const sent = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: outer\r\nX-Forwarded-Port: 443\r\n";
    await assertForwarded(
      wire,
      `GET /f HTTP/1.1\r\nHost: fn\r\nConnection: ${names.join(", ")}\r\n${sent}\r\n`,
      `GET /f HTTP/1.1\r\nHost: fn\r\n${sent}X-Forwarded-For: 127.0.0.1\r\nVia: 1.1 fnlb-00000000\r\n\r\n`,
    );
  });

  for (const [who, trustedProxies, proto] of [
    ["that nobody vouches for", [], "http"],
    ["of a trusted proxy", ["127.0.0.0/8"], "https"],
  ] as const) {
    it(`say http or https of a websocket, too, never ws, for one ${who}`, async (t) => {
      const { client, origin } = await startWire(t, { trustedProxies });
      const hop = "Connection: Upgrade, X-Forwarded-Proto\r\nUpgrade: websocket\r\n";
      client.send(`GET /ws HTTP/1.1\r\nHost: fn\r\n${hop}X-Forwarded-Proto: https\r\n\r\n`);
      const node = await origin.accept();
      const head = await node.log.untilText("\r\n\r\n");
      assert.deepEqual(head.match(/^x-forwarded-proto: .*$/gim), [`X-Forwarded-Proto: ${proto}`]);
      assert.match(head, /^X-Forwarded-For: 127\.0\.0\.1$/m);
      assert.match(head, /^Upgrade: websocket$/m);
    });
  }

  it("say https of a websocket over TLS, whatever its client says", async (t) => {
    const authority = createAuthority();
    const certificates = [certificateFiles(t).writePair("fn", authority.issue({ dns: ["fn.example"] }))];
    const tls = { certificates, clientCaFile: "", clientCertificates: "none", minVersion: "1.2" } as const;
    const origin = await startRawOrigin(t);
    const { port } = await startBalancer(t, {
      nodes: [origin.port],
      listeners: [{ address: { kind: "tcp", host: "127.0.0.1", port: 0 }, proxyProtocol: false, tls }],
    });
    const client = await connectTlsClient(t, port, { ca: authority.cert });
    const hop = "Connection: Upgrade, X-Forwarded-Proto\r\nUpgrade: websocket\r\n";
    client.send(`GET /ws HTTP/1.1\r\nHost: fn\r\n${hop}X-Forwarded-Proto: ws\r\n\r\n`);
    const head = await (await origin.accept()).log.untilText("\r\n\r\n");
    assert.deepEqual(head.match(/^x-forwarded-proto: .*$/gim), ["X-Forwarded-Proto: https"]);
  });

  it("of a client that nobody trusts are dropped, whatever it makes of them", async (t) => {
    const wire = await startWire(t);
    const sent =
      "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nForwarded: for=6.6.6.6\r\n" +
      "x_forwarded_proto: https\r\nX-Forwarded-Proto: wss\r\n";
    await assertForwarded(
      wire,
      `GET /f HTTP/1.1\r\nHost: fn\r\n${sent}\r\n`,
      `GET /f HTTP/1.1\r\nHost: fn\r\n${wire.added()}`,
    );
  });
});

describe("O19: an access log line", () => {
  it("is one JSON object with who asked what, who answered, how long each part took and how many bytes", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "fnlb-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const accessLog = join(folder, "access.log");
    const node = await startFunctionNode(t, { name: "a", answer: (_request, response) => response.end("four") });
    const { port, balancer } = await startBalancer(t, { nodes: [node.port], accessLog });
    const client = await connectClient(t, port);
    await client.ask('PUT /f?q="\\ HTTP/1.1\r\nHost: fn:8081\r\nContent-Length: 3\r\n\r\nabc', "PUT");
    await balancer.close();
    const text = readFileSync(accessLog, "utf8");
    assert.match(text, /^\{[^\n]*\}\n$/);
    const { time, queueMs, connectMs, firstByteMs, totalMs, ...line } = JSON.parse(text) as Record<string, unknown>;
    assert.deepEqual(line, {
      client: "127.0.0.1",
      method: "PUT",
      host: "fn:8081",
      target: '/f?q="\\',
      status: 200,
      route: "default",
      cluster: "default",
      node: node.address,
      attempts: 1,
      bytesIn: 3,
      bytesOut: 4,
      endedBy: "-",
      phase: "done",
    });
    assert.ok(Math.abs(Date.parse(String(time)) - Date.now()) < 3_600_000);
    const parts = [queueMs, connectMs, firstByteMs] as number[];
    assert.ok(parts.every((part) => part >= 0));
    // Each is rounded to the microsecond.
    assert.ok(parts.reduce((sum, part) => sum + part, 0) <= (totalMs as number) + 0.002);
    const documented = readFileSync("docs/operations.md", "utf8");
    for (const field of Object.keys(JSON.parse(text) as object)) assert.match(documented, new RegExp(`\`${field}\``));
  });
});
