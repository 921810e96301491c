import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AdminApi } from "../../src/admin/admin-api.js";
import { type AdminRoute, adminRoute, ok } from "../../src/admin/admin-route.js";
import { openAdminServer } from "../../src/admin/admin-server.js";
import { Counters } from "../../src/core/counters.js";
import type { LogFields } from "../../src/core/log.js";
import { bindServer } from "../../src/system/bind.js";
import { systemClock } from "../../src/system/clock.js";
import { askAdmin, codeOf } from "../support/admin-client.js";
import { connectClient } from "../support/raw-peer.js";

const row = (path: string, rest: Partial<AdminRoute>): AdminRoute => ({
  ...adminRoute({ method: "GET", path, name: "row", summary: "A row.", answers: {}, handle: () => ok({}) }),
  ...rest,
});

/** A server with these routes alone. */
async function serve(t: TestContext, routes: readonly AdminRoute[]) {
  const events: LogFields[] = [];
  const record = (fields: LogFields) => void events.push(fields);
  const log = { debug: record, info: record, warn: record, error: record };
  const settings = { token: "", takesCertificates: false, host: "127.0.0.1", connectionsMax: 8 };
  const api = new AdminApi({ clock: systemClock, log, counters: new Counters() }, routes, settings);
  const server = await openAdminServer({ clock: systemClock, bind: bindServer }, api, {
    address: { kind: "tcp", host: "127.0.0.1", port: 0 },
    certificates: undefined,
    asksCertificates: false,
  });
  t.after(() => server.close());
  return { server, events, address: server.address };
}

describe("a route of the admin API", () => {
  it("that makes a mistake costs its own request alone, and the log says where", async (t) => {
    const broken = row("/broken", {
      handle: () => {
        throw new TypeError("a riddle");
      },
    });
    const { address, events } = await serve(t, [broken, row("/whole", {})]);
    const response = await askAdmin(address, "/broken");
    assert.deepEqual([response.status, codeOf(response)], [500, "ERR_INTERNAL"]);
    assert.doesNotMatch(response.text, /a riddle/);
    const [{ event, path, reason }] = events;
    assert.deepEqual([event, path], ["admin_failed", "/broken"]);
    assert.match(String(reason), /TypeError: a riddle\n\s+at /);
    assert.equal((await askAdmin(address, "/whole")).status, 200);
  });

  it("that streams goes on until its client leaves or the server closes", async (t) => {
    const ends: string[] = [];
    const stream = row("/stream", {
      stream: ({ query, client, signal }, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write("data: 1\n\n");
        signal.addEventListener("abort", () => {
          ends.push(`${client} ${JSON.stringify(query)}`);
          response.end();
        });
      },
    });
    const { address, server } = await serve(t, [stream]);
    const port = Number(address.split(":")[1]);
    const one = await connectClient(t, port);
    const other = await connectClient(t, port);
    for (const client of [one, other]) {
      client.send("GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
      await client.log.until("the first event", () => client.log.text.includes("data: 1") || undefined);
    }
    one.destroy();
    await server.close();
    assert.deepEqual(ends, ["127.0.0.1 {}", "127.0.0.1 {}"]);
    await other.log.until("the end", () => other.log.text.endsWith("0\r\n\r\n") || undefined);
    assert.equal((await serve(t, [stream]).then((next) => askAdmin(next.address, "/stream?x=1"))).status, 400);
    const head = await serve(t, [stream]).then((next) => askAdmin(next.address, "/stream", { method: "HEAD" }));
    assert.equal(head.status, 200);
  });

  it("gets the parts of its path decoded, and literal parts go before what stands in braces", async (t) => {
    const echo = (path: string) => row(path, { handle: ({ params }) => ok({ path, params }) });
    const { address } = await serve(t, [echo("/a/b"), echo("/a/{one}"), echo("/a/{one}/c/{two}")]);
    const told = async (path: string) => (await askAdmin(address, path)).json;
    assert.deepEqual(await told("/a/b"), { path: "/a/b", params: {} });
    assert.deepEqual(await told("/a/%62"), { path: "/a/{one}", params: { one: "b" } });
    assert.deepEqual(await told("/a/x%2Fy/c/%E2%82%AC"), {
      path: "/a/{one}/c/{two}",
      params: { one: "x/y", two: "€" },
    });
  });
});
