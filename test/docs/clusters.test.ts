import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parseConfigFile } from "../../src/config/config-file.js";
import { resolveConfig } from "../../src/config/resolve.js";
import { startConfig } from "../support/balancer.js";
import { type FunctionNode, startFunctionNodes } from "../support/function-node.js";
import { makeDirectory, runProgram } from "../support/program.js";
import { connectClient } from "../support/raw-peer.js";

const SECTION =
  readFileSync("README.md", "utf8")
    .split(/^## /m)
    .find((part) => part.startsWith("Several clusters\n")) ?? "";
const EXAMPLE = /^```yaml\n([\s\S]*?)^```$/m.exec(SECTION)?.[1] ?? "";
const ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.2", "10.0.2.1"];

/** The example with these nodes, on a free port. */
function exampleWith(nodes: readonly FunctionNode[]): string {
  return ADDRESSES.reduce(
    (text, address, index) => text.replaceAll(address, nodes[index].address),
    EXAMPLE.replace("listen: :8081", "listen: 127.0.0.1:0"),
  );
}

const get = (host: string, path: string, fields = "") => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`;

describe("several clusters in the README", () => {
  it("have an example that leads each request where the text says", async (t) => {
    const nodes = await startFunctionNodes(t, ADDRESSES.length);
    const config = resolveConfig({ file: parseConfigFile(exampleWith(nodes), "fnlb.yaml") });
    const { addresses } = await startConfig(t, config);
    const client = await connectClient(t, Number(addresses[0].split(":")[1]));
    const post = "POST /v1/x HTTP/1.1\r\nHost: api.example.com\r\nX-Canary: yes\r\nContent-Length: 0\r\n\r\n";
    for (const [request, among, target] of [
      [get("example.com", "/fn/resize"), "ab", "/resize"],
      [get("api.example.com", "/v1/x"), "cd", "/v1/x"],
      [get("api.example.com", "/v1/x", "X-Canary: yes\r\n"), "cd", "/v1/x"],
      [post, "ab", "/v1/x"],
      [get("example.com", "/docs/"), "e", "/docs/"],
      [get("other.example", "/"), "e", "/"],
    ]) {
      const { node, target: seen } = (await client.ask(request)).json();
      assert.ok(among.includes(String(node)), `${node} ${request}`);
      assert.equal(seen, target);
    }
    const response = await client.ask(get("example.com", "/docs?x"));
    assert.deepEqual([response.status, response.header("location")], [308, "/docs/?x"]);
    assert.equal((await client.ask(get("example.com", "/"))).header("x-served-by"), nodes[4].address);
    await client.ask(get("api.example.com", "/", "Cookie: a=b\r\n"));
    const calls = [...nodes[2].calls, ...nodes[3].calls];
    assert.ok(calls.length === 3 && calls.every(({ rawHeaders }) => rawHeaders.includes("X-Real-IP")));
    assert.ok(calls.every(({ rawHeaders }) => !rawHeaders.includes("Cookie")));
  });

  it("have an example that the program takes", async (t) => {
    const file = join(makeDirectory(t), "fnlb.yaml");
    const nodes = await startFunctionNodes(t, ADDRESSES.length);
    writeFileSync(file, exampleWith(nodes));
    const checked = runProgram(t, ["check", "--config", file]);
    assert.equal(await checked.ended(), 0);
    assert.equal(checked.stdout.text, `${file}: ok, 3 clusters, 5 routes\n`);
    const program = runProgram(t, ["--config", file]);
    const client = await connectClient(t, await program.port());
    assert.equal((await client.ask(get("example.com", "/fn/f?q"))).json().target, "/f?q");
    program.signal("SIGTERM");
    assert.equal(await program.ended(), 0);
  });

  it("lead on to pages that are there", () => {
    const links = [...SECTION.matchAll(/\]\((docs\/[\w-]+\.md)\)/g)].map(([, link]) => link);
    assert.deepEqual(links, ["docs/config-file.md", "docs/routes.md", "docs/headers.md"]);
    for (const link of links) assert.ok(existsSync(link), link);
  });
});
