import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { loadDashboardFiles } from "../../src/admin/dashboard/dashboard-files.js";
import { NODE_STATE_NAMES } from "../../src/core/node-states.js";
import { startBalancer } from "../support/balancer.js";

const ADMIN = { admin: { kind: "tcp", host: "127.0.0.1", port: 0 } } as const;

describe("the files of the dashboard", () => {
  it("have a word and a shape for every state of a node", () => {
    const [looks, page] = ["states.js", "index.html"].map((name) => readFileSync(`dashboard/${name}`, "utf8"));
    for (const state of NODE_STATE_NAMES) {
      assert.match(looks, new RegExp(`^ {2}"?${state}"?: \\{ tone: `, "m"));
      assert.ok(page.includes(`id="shape-${state}"`), state);
    }
  });

  it("are served to whoever has no token, under a policy that lets nothing else in", async (t) => {
    const { balancer } = await startBalancer(t, { nodes: [1], ...ADMIN, adminToken: "correct-horse-battery" });
    const files = await loadDashboardFiles();
    assert.ok(files.has("/") && files.has("/dashboard.js") && files.has("/dashboard.css"), [...files.keys()].join());
    for (const [path, { body, type }] of files) {
      const response = await fetch(`http://${balancer.adminAddress}${path}`);
      assert.equal(response.status, 200, path);
      assert.equal(await response.text(), body);
      assert.equal(response.headers.get("content-type"), type);
      assert.equal(
        response.headers.get("content-security-policy"),
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
          "require-trusted-types-for 'script'; trusted-types 'none'",
      );
      assert.equal(response.headers.get("cross-origin-opener-policy"), "same-origin");
      assert.equal(response.headers.get("cross-origin-resource-policy"), "same-origin");
      assert.equal(response.headers.get("x-content-type-options"), "nosniff");
      assert.equal(response.headers.get("referrer-policy"), "no-referrer");
      const etag = response.headers.get("etag") ?? "";
      for (const [asked, status] of [
        [etag, 304],
        [`"x", ${etag.slice(2)}`, 304],
        ['W/"x"', 200],
      ] as const) {
        const again = await fetch(`http://${balancer.adminAddress}${path}`, { headers: { "if-none-match": asked } });
        assert.equal(again.status, status, `${path} ${asked}`);
        assert.equal(again.headers.get("etag"), etag);
        assert.equal((await again.text()).length > 0, status === 200);
      }
    }
    assert.equal((await fetch(`http://${balancer.adminAddress}/v1/history`)).status, 401);
    assert.equal((await fetch(`http://${balancer.adminAddress}/v1/events`)).status, 401);
  });

  it("are the modules that the page loads, and nothing that was left behind", async () => {
    const files = await loadDashboardFiles();
    const seen = new Set(["/"]);
    for (const path of seen) {
      const { body } = files.get(path) ?? assert.fail(`${path} is not there`);
      for (const [, name] of body.matchAll(/(?:from "\.\/|(?:href|src)=")([\w-]+\.\w+)"/g)) seen.add(`/${name}`);
    }
    assert.deepEqual([...seen].sort(), [...files.keys()].sort());
  });

  it("put no text into the page as markup, and take nothing from elsewhere", () => {
    for (const name of readdirSync("dashboard")) {
      const text = readFileSync(`dashboard/${name}`, "utf8");
      assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(/, name);
      assert.doesNotMatch(text.replaceAll("http://www.w3.org/", ""), /https?:\/\/(?!host\/)/, name);
      if (name.endsWith(".html")) assert.doesNotMatch(text, /<style|\sstyle=|\son\w+=|<script(?![^>]*src=)/, name);
    }
  });
});

describe("GET /v1/history", () => {
  it("says what all clusters did, and of a cluster what its nodes did", async (t) => {
    const { balancer } = await startBalancer(t, { nodes: [1, 2], ...ADMIN });
    const ask = async (query: string) => {
      const response = await fetch(`http://${balancer.adminAddress}/v1/history${query}`);
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    };
    const all = await ask("");
    assert.equal(all.status, 200);
    assert.deepEqual(Object.keys(all.body), ["sequence", "intervalMs", "atMs", "total"]);
    // A cluster that has no sample yet is there all the same.
    assert.equal((await ask("?cluster=default")).status, 200);
    assert.equal((await ask("?cluster=other")).status, 404);
    assert.equal((await ask("?node=a")).status, 400);
  });
});

describe("GET /v1/events", () => {
  it("is refused above 16 at once, and ends when the balancer is closed", async (t) => {
    const { balancer } = await startBalancer(t, { nodes: [1], ...ADMIN });
    const url = `http://${balancer.adminAddress}/v1/events`;
    const streams = await Promise.all(Array.from({ length: 16 }, () => fetch(url)));
    assert.deepEqual([...new Set(streams.map(({ status }) => status))], [200]);
    const refused = await fetch(url);
    assert.equal(refused.status, 503);
    assert.equal(((await refused.json()) as { readonly code: string }).code, "ERR_AT_CAPACITY");
    assert.equal(balancer.snapshot().counters.eventStreamsRefused, 1);
    const texts = Promise.all(streams.map((stream) => stream.text()));
    await balancer.close();
    for (const text of await texts) assert.match(text, /^: .*\n\nevent: status\ndata: \{.*"nodes":\[\{.*\}\n\n/);
  });
});
