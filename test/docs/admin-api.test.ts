import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { askAdmin } from "../support/admin-client.js";
import { startBalancer } from "../support/balancer.js";
import { startFunctionNodes } from "../support/function-node.js";
import { OpenApiDocument } from "../support/open-api.js";

const PAGE = readFileSync("docs/admin-api.md", "utf8");
const ADMIN = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
const TOKEN = "a-token-for-this-test";

function section(title: string): string {
  return PAGE.split(/^## /m).find((part) => part.startsWith(`${title}\n`)) ?? assert.fail(title);
}

/** What a line of the page asks, as curl would. */
function questionOf(line: string) {
  const words = [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, one, other, bare]) => one ?? other ?? bare);
  assert.equal(words.shift(), "curl");
  const headers: Record<string, string> = {};
  let method = "GET";
  let body: string | undefined;
  let url = "";
  while (words.length > 0) {
    const word = words.shift() ?? "";
    const value = word.startsWith("-") ? (words.shift() ?? "") : "";
    if (word === "-X") method = value;
    else if (word === "-d") body = value;
    else if (word === "-H") headers[value.split(": ")[0]] = value.split(": ")[1];
    else if (word.startsWith("http")) url = word;
    else assert.fail(`${word} of ${line}`);
  }
  return { method, headers, body, path: url.replace("http://127.0.0.1:9081", "") };
}

describe("the page on the admin API", () => {
  it("has examples that do what it says", async (t) => {
    const [a, b] = await startFunctionNodes(t, 2);
    const { balancer } = await startBalancer(t, { nodes: [a.port], admin: ADMIN, adminToken: TOKEN });
    const spare = `127.0.0.1:${b.port}`;
    const here = section("Examples")
      .replaceAll("$FNLB_ADMIN_TOKEN", TOKEN)
      .replaceAll("10.0.0.3:8080", spare)
      .replaceAll("10.0.0.3%3A8080", encodeURIComponent(spare));
    const seen: unknown[] = [];
    for (const line of here.split("\n").filter((text) => text.startsWith("curl "))) {
      const { path, ...question } = questionOf(line);
      const { status, json } = await askAdmin(balancer.adminAddress, path, question);
      const { result, status: word, nodes, node, mode, inFlight } = json as Record<string, unknown>;
      seen.push([question.method, status, result ?? word ?? mode ?? (nodes === undefined ? node : "nodes"), inFlight]);
    }
    assert.deepEqual(seen, [
      ["GET", 200, "nodes", undefined],
      ["POST", 201, "applied", undefined],
      ["PATCH", 200, "applied", undefined],
      ["GET", 200, "draining", 0],
      ["DELETE", 200, "applied", undefined],
      ["GET", 200, `127.0.0.1:${a.port}`, undefined],
      ["GET", 200, "ready", undefined],
    ]);
  });

  it("names every operation in its table, and none that there is not", async (t) => {
    const { balancer } = await startBalancer(t, { nodes: [1], admin: ADMIN });
    const document = new OpenApiDocument((await askAdmin(balancer.adminAddress, "/v1/openapi.json")).json);
    const there = document.operations.map(({ method, path }) => `${method} ${path}`).sort();
    const named = (text: string) => [
      ...text.matchAll(/`((?:GET|POST|PUT|PATCH|DELETE) \/(?:v1|healthz|readyz|metrics)[^` ]*)`/g),
    ];
    assert.deepEqual(
      [...section("What there is").matchAll(/^\| `([A-Z]+ \/[^`]*)` \|/gm)].map(([, name]) => name).sort(),
      there,
    );
    for (const [, name] of named(PAGE)) assert.ok(there.includes(name), name);
  });

  it("shows a problem as it is", async (t) => {
    const { balancer } = await startBalancer(t, { nodes: [1], admin: ADMIN });
    const example = /^```json\n([\s\S]*?)^```$/m.exec(section("Errors"))?.[1] ?? "";
    const body = { node: "127.0.0.1:1", weight: "2" };
    const { json } = await askAdmin(balancer.adminAddress, "/v1/clusters/default/nodes", { method: "POST", body });
    assert.deepEqual(JSON.parse(example), json);
  });
});
