import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { type AdminQuestion, type AdminResponse, askAdmin, codeOf } from "../support/admin-client.js";
import { startBalancer, type TestBalancer, type TestConfig } from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { FakeClock } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";

const TOKEN = "a-token-for-this-test";
const ADMIN = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;

type Guarded = TestBalancer & { readonly ask: (path: string, question?: AdminQuestion) => Promise<AdminResponse> };

async function start(t: TestContext, config: Partial<TestConfig>): Promise<Guarded> {
  const { port } = await startFunctionNode(t, { name: "a" });
  const started = await startBalancer(t, { nodes: [port], admin: ADMIN, ...config });
  return { ...started, ask: (path, question) => askAdmin(started.balancer.adminAddress, path, question) };
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

describe("an admin API with a token", () => {
  it("answers to the token and nobody else, but says to everybody how it is", async (t) => {
    const { ask, balancer, events } = await start(t, { adminToken: TOKEN });
    assert.equal((await ask("/v1/status", bearer(TOKEN))).status, 200);
    assert.equal((await ask("/v1/status", { headers: { authorization: `bearer  ${TOKEN}` } })).status, 200);
    for (const path of ["/healthz", "/readyz"]) assert.equal((await ask(path)).status, 200);
    const wrong = [
      {},
      bearer(""),
      bearer(`${TOKEN}x`),
      bearer(TOKEN.slice(0, -1)),
      bearer(TOKEN.toUpperCase()),
      { headers: { authorization: TOKEN } },
      { headers: { authorization: `Basic ${TOKEN}` } },
      { headers: { authorization: `Bearer ${TOKEN} ${TOKEN}` } },
      { headers: { "proxy-authorization": `Bearer ${TOKEN}` } },
    ];
    for (const question of wrong) {
      for (const path of ["/v1/status", "/metrics", "/nowhere", "/v1/openapi.json"]) {
        const response = await ask(path, question);
        const { status, headers } = response;
        assert.deepEqual([status, codeOf(response)], [401, "ERR_UNAUTHORIZED"], `${path} ${JSON.stringify(question)}`);
        assert.equal(headers["www-authenticate"], 'Bearer realm="fnlb"');
      }
    }
    assert.equal(balancer.snapshot().counters.adminRequestsRefused, wrong.length * 4);
    assert.doesNotMatch(JSON.stringify(events), new RegExp(TOKEN, "i"));
  });

  it("tells of failed logins once a second, and of how many it did not tell", async (t) => {
    const clock = new FakeClock();
    const { port } = await startFunctionNode(t, { name: "a" });
    const { balancer, events } = await startBalancer(t, { nodes: [port], admin: ADMIN, adminToken: TOKEN }, { clock });
    const fail = () => askAdmin(balancer.adminAddress, `/v1/${"x".repeat(1000)}?secret`, bearer("wrong"));
    const told = () => events.filter(({ event }) => event === "admin_refused");
    for (let index = 0; index < 5; index++) await fail();
    assert.deepEqual(
      told().map(({ client, code, method, path, untold }) => [client, code, method, path, untold]),
      [["127.0.0.1", "ERR_UNAUTHORIZED", "GET", `/v1/${"x".repeat(196)}`, 0]],
    );
    await clock.advance(1000);
    await fail();
    assert.deepEqual(
      told().map(({ untold }) => untold),
      [0, 4],
    );
  });

  it("takes another token over with a reload, from the next request on", async (t) => {
    const { ask, balancer, config } = await start(t, { adminToken: TOKEN });
    const route = { name: "r", hosts: [], path: "/", isExact: false, methods: [], headers: [], cluster: "default" };
    const address = balancer.adminAddress;
    await balancer.reload({
      ...config,
      adminToken: "another-token-for-this-test",
      clusters: [{ ...config, name: "default" }],
      routes: [{ ...route, stripsPrefix: false, redirectsSlash: false }],
    });
    assert.equal(balancer.adminAddress, address);
    assert.equal((await ask("/v1/status", bearer(TOKEN))).status, 401);
    assert.equal((await ask("/v1/status", bearer("another-token-for-this-test"))).status, 200);
  });

  it("shows no secret in the config", async (t) => {
    const secret = "a-secret-of-sticky-sessions";
    const { ask } = await start(t, { adminToken: TOKEN, stickyCookie: "c", stickySecrets: [secret] });
    const { text, json } = await ask("/v1/config", bearer(TOKEN));
    const { options, clusters } = json as Record<"options" | "clusters", Record<string, Record<string, unknown>>>;
    assert.ok(!text.includes(TOKEN) && !text.includes(secret));
    assert.deepEqual(options["admin-token"], { value: "(secret)" });
    assert.deepEqual(clusters.default["sticky-secret"], { value: "(secret)" });
    assert.deepEqual(clusters.default["connect-timeout"], { value: 2000 });
  });
});

describe("an admin API without a token", () => {
  it("answers to no page of another site", async (t) => {
    const { ask, balancer } = await start(t, {});
    const host = balancer.adminAddress ?? "";
    const refused = [
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
      { origin: "http://evil.example" },
      { origin: "null" },
      { origin: `http://${host.split(":")[0]}:1` },
      { origin: "http://" },
    ];
    for (const headers of refused) {
      for (const method of ["GET", "POST", "OPTIONS"]) {
        const response = await ask("/v1/clusters/default/nodes", { method, headers });
        assert.deepEqual([response.status, codeOf(response)], [403, "ERR_FORBIDDEN"], JSON.stringify(headers));
        assert.equal(response.headers["access-control-allow-origin"], undefined);
      }
    }
    for (const headers of [
      { "sec-fetch-site": "same-origin" },
      { "sec-fetch-site": "none" },
      { origin: `http://${host}` },
    ]) {
      assert.equal((await ask("/v1/status", { headers })).status, 200, JSON.stringify(headers));
    }
    // What a form can send without asking first.
    const body = { method: "POST", body: '{"node":"a:80"}' };
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]) {
      const response = await ask("/v1/clusters/default/nodes", { ...body, headers: { "content-type": type } });
      assert.deepEqual([response.status, codeOf(response)], [415, "ERR_MEDIA_TYPE"], type);
    }
  });

  it("answers to no name that somebody else may have led here", async (t) => {
    const { ask, balancer } = await start(t, {});
    const port = balancer.adminAddress?.split(":")[1];
    for (const host of [
      "evil.example",
      `evil.example:${port}`,
      "localhost.evil.example",
      "127.0.0.1.evil.example",
      "x@",
    ]) {
      const response = await ask("/v1/status", { headers: { host } });
      assert.deepEqual([response.status, codeOf(response)], [403, "ERR_FORBIDDEN"], host);
    }
    for (const host of ["localhost", `LOCALHOST:${port}`, "127.0.0.1", `[::1]:${port}`, "192.0.2.7:80"]) {
      assert.equal((await ask("/v1/status", { headers: { host } })).status, 200, host);
    }
    // It may be asked how it is by any name.
    assert.equal((await ask("/readyz", { headers: { host: "fnlb.internal" } })).status, 200);
  });

  it("with a token goes by any name", async (t) => {
    const { ask } = await start(t, { adminToken: TOKEN });
    const { headers } = bearer(TOKEN);
    assert.equal((await ask("/v1/status", { headers: { ...headers, host: "fnlb.internal:9081" } })).status, 200);
  });
});

describe("an admin API in TLS", () => {
  const authority = createAuthority();
  const other = createAuthority("somebody else");
  const server = authority.issue({ ips: ["127.0.0.1"], name: "fnlb" });
  const ops = authority.issue({ name: "ops", usage: "client" });
  const stranger = other.issue({ name: "ops", usage: "client" });
  const expired = authority.issue({ name: "old", usage: "client", validUntil: new Date(Date.now() - 1000) });
  const tls = { ca: authority.cert };

  function filesOf(t: TestContext) {
    const files = certificateFiles(t);
    const { certFile, keyFile } = files.writePair("admin", server);
    return {
      adminTlsCertFile: certFile,
      adminTlsKeyFile: keyFile,
      adminClientCaFile: files.write("ca.crt", authority.cert),
    };
  }

  it("lets in who has a certificate of the authorities, and tells who it was", async (t) => {
    const { ask, event } = await start(t, filesOf(t));
    const path = "/v1/clusters/default/nodes";
    const added = await ask(path, { method: "POST", body: { node: "127.0.0.1:1" }, tls: { ...tls, ...ops } });
    assert.equal(added.status, 201);
    assert.equal((await event("admin_change")).actor, "certificate CN=ops");
    for (const certificate of [{}, stranger, expired]) {
      const response = await ask(path, { tls: { ...tls, ...certificate } });
      assert.deepEqual([response.status, codeOf(response)], [401, "ERR_UNAUTHORIZED"]);
      assert.equal((await ask("/readyz", { tls: { ...tls, ...certificate } })).status, 200);
    }
  });

  it("lets in who has either where a token is there as well", async (t) => {
    const { ask } = await start(t, { ...filesOf(t), adminToken: TOKEN });
    assert.equal((await ask("/v1/status", { tls: { ...tls, ...ops } })).status, 200);
    assert.equal((await ask("/v1/status", { tls, ...bearer(TOKEN) })).status, 200);
    assert.equal((await ask("/v1/status", { tls: { ...tls, ...stranger }, ...bearer(TOKEN) })).status, 200);
    assert.equal((await ask("/v1/status", { tls })).status, 401);
  });

  it("lets nobody in who comes back to a session without a certificate", async (t) => {
    const { balancer } = await start(t, filesOf(t));
    const port = Number(balancer.adminAddress?.split(":")[1]);
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      let session: Buffer | undefined;
      const answers: string[] = [];
      for (let round = 0; round < 2; round++) {
        const socket: TLSSocket = connectTls({
          host: "127.0.0.1",
          port,
          ...tls,
          maxVersion,
          ...(session && { session }),
        });
        socket.on("session", (given: Buffer) => {
          session = given;
        });
        socket.write("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        answers.push(
          await new Promise((resolve, reject) => {
            let text = "";
            socket.on("data", (chunk: Buffer) => {
              text += chunk.toString();
            });
            socket.on("error", reject);
            socket.on("close", () => resolve(text.slice(0, 12)));
          }),
        );
        session ??= socket.getSession();
      }
      assert.deepEqual(answers, ["HTTP/1.1 401", "HTTP/1.1 401"], maxVersion);
    }
  });

  it("takes new certificates over without a restart", async (t) => {
    const files = certificateFiles(t);
    const { certFile } = files.writePair("admin", { cert: `${server.cert}${server.key}`, key: "" });
    const { ask, balancer } = await start(t, { adminTlsCertFile: certFile });
    assert.equal((await ask("/v1/status", { tls })).status, 200);
    await assert.rejects(ask("/v1/status", { tls: { ca: other.cert } }));
    const next = other.issue({ ips: ["127.0.0.1"], name: "fnlb" });
    files.writePair("admin", { cert: `${next.cert}${next.key}`, key: "" });
    await balancer.reloadCertificates();
    assert.equal((await ask("/v1/status", { tls: { ca: other.cert } })).status, 200);
    await assert.rejects(ask("/v1/status", { tls }));
  });

  it("does not speak in the clear", async (t) => {
    const { ask } = await start(t, filesOf(t));
    await assert.rejects(ask("/healthz"));
    assert.equal((await ask("/healthz", { tls })).status, 200);
  });
});
