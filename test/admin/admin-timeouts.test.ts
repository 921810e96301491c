import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AdminApi } from "../../src/admin/admin-api.js";
import { adminRoute, ok } from "../../src/admin/admin-route.js";
import { type AdminTimeouts, openAdminServer } from "../../src/admin/admin-server.js";
import { object, text } from "../../src/admin/schema.js";
import { Counters } from "../../src/core/counters.js";
import { bindServer } from "../../src/system/bind.js";
import { systemClock } from "../../src/system/clock.js";
import { ByteLog } from "../support/byte-log.js";
import { createAuthority } from "../support/certificates.js";
import { connectClient, type RawClient } from "../support/raw-peer.js";

const SHORT_MS = 20;
/** What is not meant must not end it either. */
const NEVER_MS = 3_600_000;

/** A client of a server with these timeouts and no other, and the ends of the answers that it has streamed. */
async function connectTo(t: TestContext, timeouts: Partial<AdminTimeouts>, isTls = false) {
  const none = { headMs: NEVER_MS, requestMs: NEVER_MS, handshakeMs: NEVER_MS, keepAliveMs: NEVER_MS };
  const ends = new ByteLog();
  const silent = { name: "silent", summary: "Says nothing.", answers: {} };
  const routes = [
    adminRoute({
      method: "GET",
      path: "/quick",
      name: "quick",
      summary: "Is quick.",
      answers: {},
      handle: () => ok({}),
    }),
    adminRoute({
      method: "PUT",
      path: "/text",
      name: "putText",
      summary: "Takes a text.",
      body: object({ text: text() }),
      answers: {},
      handle: () => ok({}),
    }),
    {
      ...silent,
      method: "GET" as const,
      path: "/silent",
      stream: ({ signal }: { readonly signal: AbortSignal }, response: { flushHeaders(): void }) => {
        response.flushHeaders();
        signal.addEventListener("abort", () => ends.add(Buffer.from("gone")));
      },
    },
  ];
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const settings = { token: "", takesCertificates: false, host: "127.0.0.1", connectionsMax: 8 };
  const api = new AdminApi({ clock: systemClock, log, counters: new Counters() }, routes, settings);
  const certificates = { first: createAuthority().issue({ ips: ["127.0.0.1"] }), onSwap: () => () => {} };
  const server = await openAdminServer({ clock: systemClock, bind: bindServer }, api, {
    address: { kind: "tcp", host: "127.0.0.1", port: 0 },
    certificates: isTls ? certificates : undefined,
    asksCertificates: false,
    timeouts: { ...none, silenceMs: NEVER_MS, lookMs: SHORT_MS, ...timeouts },
  });
  t.after(() => server.close());
  const client = await connectClient(t, Number(server.address.split(":")[1]));
  return { client, ends };
}

/** The answer to a request that did not arrive in time, behind which the connection is closed. */
async function hearsTooLate(client: RawClient): Promise<void> {
  const { status, body } = await client.response();
  const { code } = JSON.parse(body.toString()) as { readonly code: string };
  assert.deepEqual([status, code], [408, "ERR_REQUEST_TIMEOUT"]);
  await client.log.untilEnd();
}

describe("the admin server", () => {
  for (const bytes of ["", "GET /quick HTTP/1.1\r\nHost: 127.0.0.1\r\n"]) {
    it(`waits for no head for ever, ${bytes === "" ? "not even for its first byte" : "nor for its end"}`, async (t) => {
      const { client } = await connectTo(t, { headMs: SHORT_MS });
      client.send(bytes);
      await hearsTooLate(client);
    });
  }

  it("waits for no body for ever", async (t) => {
    const { client } = await connectTo(t, { headMs: SHORT_MS, requestMs: SHORT_MS });
    client.send(
      'PUT /text HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"text":"',
    );
    await hearsTooLate(client);
  });

  it("waits for no next request for ever", async (t) => {
    const { client } = await connectTo(t, { keepAliveMs: SHORT_MS });
    client.send("GET /quick HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert.equal((await client.response()).status, 200);
    await client.log.untilEnd();
    assert.equal(client.text, "");
  });

  it("gives up a connection on which nothing is said either way, and the answer on it", async (t) => {
    const { client, ends } = await connectTo(t, { silenceMs: SHORT_MS });
    client.send("GET /silent HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    await client.log.untilEnd();
    assert.match(client.text, /^HTTP\/1\.1 200 /);
    await ends.untilText("gone");
  });

  it("waits for no handshake for ever", async (t) => {
    const { client } = await connectTo(t, { handshakeMs: SHORT_MS }, true);
    await client.log.untilEnd();
    assert.equal(client.text, "");
  });
});
