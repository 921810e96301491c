import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { OptionName } from "../../src/config/options.js";
import { type OptionValue, resolveConfig } from "../../src/config/resolve.js";
import { type FlatConfig, startBalancer } from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { type DnsServer, startDnsServer } from "../support/dns-server.js";
import { startFunctionNode } from "../support/function-node.js";
import { connectClient } from "../support/raw-peer.js";
import { assertProblem } from "../support/wire.js";

const authority = createAuthority();
const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";

/** Started as the program would be with these options. */
async function start(t: TestContext, options: Partial<Record<OptionName, OptionValue>>, { openLookup }: DnsServer) {
  const ca = certificateFiles(t).write("ca.crt", authority.cert);
  const {
    clusters,
    routes: _,
    listeners: __,
    ...settings
  } = resolveConfig({ options: { "node-tls-ca": ca, ...options } });
  const config: FlatConfig = {
    ...settings,
    ...clusters[0],
    connectionsMax: 100,
    listeners: [{ address: { kind: "tcp", host: "127.0.0.1", port: 0 }, proxyProtocol: false }],
  };
  return startBalancer(t, config, { openLookup });
}

describe("a discovered node in TLS", () => {
  it("must prove to have the name by which it was found, or the one that was given", async (t) => {
    const { port } = await startFunctionNode(t, { name: "a", tls: authority.issue({ dns: ["fn.example"] }) });
    const dns = await startDnsServer(t, {
      "fn.example": { addresses: ["127.0.0.1"] },
      "other.example": { addresses: ["127.0.0.1"] },
    });
    const right = await start(t, { discover: `dns4:https://fn.example:${port}` }, dns);
    assert.equal((await (await connectClient(t, right.port)).ask(GET)).json().node, "a");
    const wrong = await start(t, { discover: `dns4:https://other.example:${port}` }, dns);
    assertProblem(await (await connectClient(t, wrong.port)).ask(GET), 502, "ERR_NO_FALLBACK_NODE_FOUND");
    assert.equal((await wrong.event("node_dead")).code, "ERR_TLS_CERT_ALTNAME_INVALID");
    const given = { discover: `dns4:https://other.example:${port}`, "node-tls-name": "fn.example" };
    const told = await start(t, given, dns);
    assert.equal((await (await connectClient(t, told.port)).ask(GET)).json().node, "a");
  });

  it("of a service must prove to have the name that was given", async (t) => {
    const { port } = await startFunctionNode(t, { name: "a", tls: authority.issue({ dns: ["fn.example"] }) });
    const dns = await startDnsServer(t, {
      "_fn._tcp.example": { services: [["pod.example", port]] },
      "pod.example": { addresses: ["127.0.0.1"] },
    });
    const options = { discover: "srv4:https://_fn._tcp.example", "node-tls-name": "fn.example" };
    const started = await start(t, options, dns);
    assert.equal((await (await connectClient(t, started.port)).ask(GET)).json().node, "a");
  });

  it("may stand in a file beside others", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "fnlb-nodes-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "nodes");
    const secure = await startFunctionNode(t, { name: "a", tls: authority.issue({ ips: ["127.0.0.1"] }) });
    const plain = await startFunctionNode(t, { name: "b" });
    const dns = await startDnsServer(t);
    writeFileSync(file, plain.address);
    const started = await start(t, { discover: `file:${file}`, "discover-min-interval": "100ms" }, dns);
    const client = await connectClient(t, started.port);
    assert.equal((await client.ask(GET)).json().node, "b");
    writeFileSync(file, `https://127.0.0.1:${secure.port}`);
    await started.event("node_removed");
    assert.equal((await client.ask(GET)).json().node, "a");
  });
});
