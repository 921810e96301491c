import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setTimeout } from "node:timers/promises";
import { askAdmin } from "../support/admin-client.js";
import { DEFAULTS, oneCluster, startBalancer, startConfig } from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { makeDirectory, runProgram } from "../support/program.js";

const TOKEN = "a-token-for-this-test";
const POLL_MS = 5;
const headers = { authorization: `Bearer ${TOKEN}` };

/** The program at a level of its log, and what it has logged of three requests: a change, one refused, one without a token. */
async function operate(t: TestContext, logLevel: string) {
  const admin = `unix:${makeDirectory(t)}/admin.sock`;
  const flags = ["--listen", "127.0.0.1:0", "--nodes", "127.0.0.1:1", "--admin", admin, "--log-level", logLevel];
  const program = runProgram(t, flags, { env: { FNLB_ADMIN_TOKEN: TOKEN } });
  const ask = (method: string, path: string, more: object = {}) => askAdmin(admin, path, { method, headers, ...more });
  // At these levels nothing says when it listens.
  const isReady = () =>
    ask("GET", "/readyz").then(
      ({ status }) => status === 200,
      () => false,
    );
  while (!(await isReady())) await setTimeout(POLL_MS);
  const path = "/v1/clusters/default/nodes";
  assert.equal((await ask("POST", path, { body: { node: "127.0.0.1:2" } })).status, 201);
  assert.equal((await ask("POST", path, { body: { node: "127.0.0.1:2" } })).status, 409);
  assert.equal((await ask("POST", path, { headers: {} })).status, 401);
  program.signal("SIGTERM");
  assert.equal(await program.ended(), 0);
  return program.events.map(({ event, level, actor, code }) => ({ event, level, actor, code }));
}

describe("the audit trail", () => {
  for (const level of ["warn", "error", "fatal"]) {
    it(`is written at the level ${level}, and nothing else`, async (t) => {
      assert.deepEqual(await operate(t, level), [
        { event: "admin_change", level: "info", actor: "token", code: undefined },
        { event: "admin_refused", level: "warn", actor: "token", code: "ERR_CONFLICT" },
        { event: "admin_refused", level: "warn", actor: undefined, code: "ERR_UNAUTHORIZED" },
      ]);
    });
  }

  it("is not written where nothing is", async (t) => {
    assert.deepEqual(await operate(t, "silent"), []);
  });

  it("goes where a program's log wants it, or where other events go", async (t) => {
    const audited: unknown[] = [];
    const other: unknown[] = [];
    const record = ({ event }: { readonly event: string }) => void other.push(event);
    const log = { debug() {}, info: record, warn: record, error: record };
    const change = async (given: typeof log & { audit?: (level: string, fields: { event: string }) => void }) => {
      const admin = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
      const { balancer } = await startBalancer(t, { nodes: [1], admin }, { log: given });
      await askAdmin(balancer.adminAddress, "/v1/clusters/default/nodes/127.0.0.1%3A1", { method: "DELETE" });
    };
    await change({ ...log, audit: (level, { event }) => audited.push([level, event]) });
    assert.deepEqual([audited, other.includes("admin_change")], [[["info", "admin_change"]], false]);
    await change(log);
    assert.ok(other.includes("admin_change"));
  });
});

describe("an admin API beyond this machine", () => {
  it("warns of a token in the clear when it opens, and of none in TLS or on its own machine", async (t) => {
    const { certFile, keyFile } = certificateFiles(t).writePair("a", createAuthority().issue({ ips: ["127.0.0.1"] }));
    const open = { kind: "tcp", host: "0.0.0.0", port: 0 } as const;
    const own = { ...open, host: "127.0.0.1" };
    const secured = { adminTlsCertFile: certFile, adminTlsKeyFile: keyFile };
    const config = (more: object) => oneCluster({ ...DEFAULTS, adminToken: TOKEN, ...more });
    const { balancer, event, events } = await startConfig(t, config({ admin: open }));
    assert.equal((await event("admin_in_clear")).level, "warn");
    await balancer.reload(config({ admin: open, logLevel: "warn" }));
    await balancer.reload(config({ admin: own }));
    await balancer.reload(config({ admin: open, ...secured }));
    assert.equal(events.filter((one) => one.event === "admin_in_clear").length, 1);
    await balancer.reload(config({ admin: own }));
    await balancer.reload(config({ admin: open }));
    assert.equal(events.filter((one) => one.event === "admin_in_clear").length, 2);
  });
});
