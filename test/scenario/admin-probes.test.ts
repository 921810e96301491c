import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { askAdmin, codeOf } from "../support/admin-client.js";
import { startBalancer, type TestConfig } from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { connectClient } from "../support/raw-peer.js";

const ADMIN = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;

/** A connection that the server has answered on and keeps. */
async function hold(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  await new Promise((resolve) => socket.once("data", resolve));
  return socket;
}

/** A balancer whose admin API has as many connections as it may have. */
async function startFull(t: TestContext, config: Partial<TestConfig> = {}) {
  const started = await startBalancer(t, { nodes: [1], admin: ADMIN, adminConnectionsMax: 2, ...config });
  const port = Number(started.balancer.adminAddress?.split(":")[1]);
  return { ...started, port };
}

describe("a probe of an admin API that has as many connections as it may have", () => {
  it("hears the truth, and everybody else 503", async (t) => {
    const { balancer, addresses, port } = await startFull(t);
    await hold(t, port);
    await hold(t, port);
    const ask = (path: string, method = "GET") => askAdmin(balancer.adminAddress, path, { method });
    for (const path of ["/healthz", "/readyz", "/readyz?"]) {
      const { status, headers, json } = await ask(path);
      const word = path === "/healthz" ? "ok" : "ready";
      assert.deepEqual([status, json, headers.connection], [200, { status: word }, "close"], path);
      assert.equal((await ask(path, "HEAD")).status, 200);
    }
    assert.equal((await ask("/readyz?verbose")).status, 400);
    balancer.pauseListener(addresses[0]);
    const paused = await ask("/readyz");
    assert.deepEqual([paused.status, paused.json, codeOf(paused)], [503, { status: "paused" }, undefined]);
    for (const [method, path] of [
      ["GET", "/v1/status"],
      ["GET", "/metrics"],
      ["GET", "/"],
      ["GET", "/healthz/"],
      ["POST", "/healthz"],
    ]) {
      const { status, json } = await ask(path, method);
      assert.deepEqual([status, (json as { code: string }).code], [503, "ERR_AT_CAPACITY"], `${method} ${path}`);
    }
    assert.equal(balancer.snapshot().counters.adminConnectionsRefusedByLimit, 13);
  });

  it("gets one answer on its connection, whatever else it sends", async (t) => {
    const { port } = await startFull(t);
    await hold(t, port);
    await hold(t, port);
    const client = await connectClient(t, port);
    client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert.equal((await client.response()).status, 200);
    await client.log.untilEnd();
    assert.equal(client.text, "");
  });

  it("hears it in TLS, too", async (t) => {
    const authority = createAuthority();
    const { certFile, keyFile } = certificateFiles(t).writePair("admin", authority.issue({ ips: ["127.0.0.1"] }));
    const secured = { adminTlsCertFile: certFile, adminTlsKeyFile: keyFile };
    const { balancer } = await startFull(t, { ...secured, adminConnectionsMax: 0 });
    const tls = { ca: authority.cert };
    assert.equal((await askAdmin(balancer.adminAddress, "/healthz", { tls })).status, 200);
    assert.equal((await askAdmin(balancer.adminAddress, "/v1/status", { tls })).status, 503);
  });
});
