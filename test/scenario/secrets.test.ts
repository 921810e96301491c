import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { shownHeaderRule } from "../../src/config/header-rule.js";
import { isSecretField, withoutPasswords } from "../../src/core/secrets.js";
import { askAdmin } from "../support/admin-client.js";
import { type MainRuns, runMains } from "../support/mains.js";
import { makeDirectory, runProgram, runToEnd } from "../support/program.js";

const SECRET = "hunter2-of-the-upstream";
const FILE = `
request-header:
  - "set Authorization: Bearer ${SECRET}"
  - "add X-Api-Key: ${SECRET}"
  - "remove Cookie"
  - "set X-Env: prod"
response-header: "set Set-Cookie: ${SECRET}"
nodes: ["127.0.0.1:1"]
routes:
  - { path: /in, cluster: default, header: { X-Auth-Token: "${SECRET}", X-Env: prod, Cookie: null } }
`;

describe("a secret in a header rule or a route", () => {
  it("is shown neither by check nor by the admin API, and the rest of the rules is", async (t) => {
    const directory = makeDirectory(t);
    const file = `${directory}/fnlb.yaml`;
    writeFileSync(file, FILE);
    const checked = await runToEnd(t, ["check", file, "--print"]);
    assert.equal(checked.code, 0, checked.stderr);
    assert.doesNotMatch(checked.stdout, new RegExp(SECRET));
    const admin = `unix:${directory}/admin.sock`;
    const program = runProgram(t, ["--config", file, "--listen", "127.0.0.1:0", "--admin", admin]);
    await program.port();
    const answers = await Promise.all(["/v1/config", "/v1/routes", "/v1/status"].map((path) => askAdmin(admin, path)));
    for (const { text } of answers) assert.doesNotMatch(text, new RegExp(SECRET));
    const [config, routes] = answers.map(({ json }) => json as Record<string, never>);
    const { default: cluster } = config.clusters as Record<string, Record<string, { readonly value: unknown }>>;
    assert.deepEqual(cluster["request-header"].value, [
      { action: "set", name: "Authorization", value: "(secret)" },
      { action: "add", name: "X-Api-Key", value: "(secret)" },
      { action: "remove", name: "Cookie", value: "" },
      { action: "set", name: "X-Env", value: "prod" },
    ]);
    const [route] = routes.routes as readonly { readonly headers: unknown }[];
    assert.deepEqual(route.headers, [
      { name: "X-Auth-Token", value: "(secret)" },
      { name: "X-Env", value: "prod" },
      { name: "Cookie", value: null },
    ]);
    for (const shown of ["set Authorization: (secret)", "add X-Api-Key: (secret)", "remove Cookie", "set X-Env: prod"])
      assert.ok(checked.stdout.includes(shown), shown);
  });

  it("is not repeated where the rule is wrong, however it is", async () => {
    const bad = [
      `set Authorization Bearer ${SECRET}`,
      `Authorization: Bearer ${SECRET}`,
      `replace X-Token: ${SECRET}`,
      `set Authorization: {${SECRET}}`,
      `set X-Password: \u0001${SECRET}`,
      `\n Cookie=${SECRET}`,
    ];
    const runs = await runMains(bad.map((rule) => ({ args: ["check", "--request-header", rule] })));
    for (const [index, { code, stdout, stderr }] of runs.entries()) {
      assert.equal(code, 2, bad[index]);
      assert.match(stderr, /request-header/);
      assert.doesNotMatch(stdout + stderr, new RegExp(SECRET));
    }
  });

  it("is known by the name of its field", () => {
    for (const name of ["authorization", "Proxy-Authorization", "COOKIE", "Set-Cookie", "X-Api-Key", "x-csrf-token"])
      assert.ok(isSecretField(name), name);
    for (const name of ["X-Env", "Cookies-Allowed", "Host", "X-Authorization-Mode"])
      assert.ok(!isSecretField(name), name);
    assert.equal(shownHeaderRule("set X-Env: a password"), "set X-Env: a password");
  });
});

describe("a URL with a password", () => {
  it("is shown without it wherever a mistake or an event is about it", async () => {
    const url = `//ops:${SECRET}@127.0.0.1:1`;
    const runs: MainRuns = [
      { args: ["check", "--store", `http:${url}`] },
      { args: ["check", "--store", `redis:${url}/x?y`] },
      { args: ["check", "--nodes", `http:${url}`] },
      { args: ["check", "--nodes", `a:1,https:${url}/base=2`] },
      { args: ["check", "--discover", `dns:https:${url}`] },
      { args: ["check", "--admin", `http:${url}`] },
      { args: ["check", "--listen", `http:${url}`] },
      { args: ["status", "--server", `https:${url}`] },
      { args: ["status", "--server", `https:${url}/path`] },
      { args: ["status", "--admin", `http:${url}`] },
      { args: ["nodes", `http:${url}`] },
      { args: ["check"], env: { FNLB_STORE: `https:${url}` } },
      { args: [`redis:${url}`] },
    ];
    for (const [index, { code, stdout, stderr }] of (await runMains(runs)).entries()) {
      const said = runs[index].args.join(" ");
      assert.equal(code, 2, `${said}: ${stdout}${stderr}`);
      assert.notEqual(stderr, "", said);
      assert.doesNotMatch(stdout + stderr, new RegExp(SECRET), said);
    }
  });

  it("is neither in the log nor in an answer when the store is away or somebody adds it as a node", async (t) => {
    const admin = `unix:${makeDirectory(t)}/admin.sock`;
    const store = `redis://ops:${SECRET}@127.0.0.1:1/0`;
    const flags = ["--listen", "127.0.0.1:0", "--nodes", "127.0.0.1:1", "--admin", admin, "--log-level", "trace"];
    const program = runProgram(t, flags, { env: { FNLB_STORE: store } });
    await program.event("store_down");
    await program.port();
    const node = `http://ops:${SECRET}@10.0.0.1:80`;
    const path = "/v1/clusters/default/nodes";
    const answers = [
      await askAdmin(admin, "/v1/config"),
      await askAdmin(admin, path, { method: "POST", body: { node } }),
      await askAdmin(admin, `${path}/${encodeURIComponent(node)}`, { method: "PUT", body: {} }),
      await askAdmin(admin, path, { method: "POST", body: { node: "10.0.0.1" } }),
    ];
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 400, 400, 503],
    );
    program.signal("SIGTERM");
    await program.ended();
    assert.equal(program.events.filter(({ event }) => event === "admin_refused").length, 3);
    const said = [program.stdout.text, program.stderr.text, ...answers.map(({ text }) => text)].join("\n");
    assert.doesNotMatch(said, new RegExp(SECRET));
  });

  it("is any URL with somebody's name in it", () => {
    assert.equal(withoutPasswords('got "redis://:a/b@c:1/0"'), 'got "redis://***@c:1/0"');
    assert.equal(withoutPasswords("https://a/b, mail@x"), "https://a/b, mail@x");
  });
});
