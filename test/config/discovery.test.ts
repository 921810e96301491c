import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfigFile } from "../../src/config/config-file.js";
import { readDiscovery } from "../../src/config/discovery.js";
import type { OptionName } from "../../src/config/options.js";
import { type OptionValue, resolveConfig } from "../../src/config/resolve.js";
import { FnlbError } from "../../src/errors.js";

const read = (text: string) => readDiscovery({ texts: [text], source: 'option "discover"' });

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof FnlbError, String(error));
    assert.equal(error.code, "ERR_OPTION");
    return error.message;
  }
  return assert.fail("was accepted");
}

function dns(text: string) {
  const config = read(text);
  assert.ok(config.kind === "dns" || config.kind === "srv");
  const { families, node } = config;
  return { families, ...node.address, weight: node.weight };
}

describe("a source of nodes", () => {
  it("is nothing, a file, a name or a service", () => {
    assert.deepEqual(read(""), { kind: "none" });
    assert.deepEqual(read(" file:/etc/nodes "), { kind: "file", name: "file:/etc/nodes", path: "/etc/nodes" });
    assert.deepEqual(read("file:nodes:1.txt"), { kind: "file", name: "file:nodes:1.txt", path: "nodes:1.txt" });
    assert.deepEqual(dns("dns:FN.example:9000"), {
      kind: "tcp",
      families: [4, 6],
      host: "fn.example",
      port: 9000,
      basePath: "",
      weight: 1,
    });
    assert.equal(read("dns:fn:9000").kind, "dns");
    assert.equal(read("srv:_http._tcp.fn").kind, "srv");
    assert.equal(dns("srv:_http._tcp.fn").host, "_http._tcp.fn");
  });

  it("may ask for one family of addresses", () => {
    assert.deepEqual(dns("dns4:fn:9000").families, [4]);
    assert.deepEqual(dns("dns6:fn:9000").families, [6]);
    assert.deepEqual(dns("srv4:_http._tcp.fn").families, [4]);
  });

  it("says of a name what is said of a node: port, weight, scheme and base path", () => {
    assert.equal(dns("dns:fn").port, 8080);
    assert.equal(dns("dns:https://fn").port, 443);
    assert.deepEqual(dns("dns:http://fn:9000/base=2"), {
      kind: "tcp",
      families: [4, 6],
      host: "fn",
      port: 9000,
      basePath: "/base",
      weight: 2,
    });
    assert.equal(dns("srv:http://_http._tcp.fn/base").basePath, "/base");
  });

  it("is refused with what it must be and why", () => {
    const shape = /^option "discover" must be file:PATH, dns:HOST:PORT or srv:_SERVICE\._tcp\.HOST/;
    for (const [text, reason] of [
      ["fn:8080", ""],
      ["consul:fn", ""],
      ["file4:/etc/nodes", ""],
      ["file:", ", but it names no file"],
      ["dns:", ", but it has an empty item"],
      ["dns:10.0.0.1:80", ", but there is no name to ask for"],
      ["dns:[::1]:80", ", but there is no name to ask for"],
      ["dns:unix:/run/a", ", but there is no name to ask for"],
      ["dns:a,b", ", but it has more than one name"],
      ["dns:fn:0", ', but it has "fn:0", whose port is not a number from 1 to 65535'],
      ["srv:_http._tcp.fn:80", ", but a service must have neither port nor weight: its records say them"],
      ["srv:_http._tcp.fn=2", ", but a service must have neither port nor weight: its records say them"],
    ]) {
      const message = messageOf(() => read(text));
      assert.match(message, shape, text);
      assert.ok(message.endsWith(`${reason}, got ${JSON.stringify(text)}`), message);
    }
  });
});

describe("discovery in a config", () => {
  const resolve = (options: Partial<Record<OptionName, OptionValue>>) => resolveConfig({ options }).clusters[0];

  it("takes the place of the default node, and stands beside nodes that are given", () => {
    assert.deepEqual(resolve({ discover: "dns:fn" }).nodes, []);
    assert.deepEqual(
      resolve({ discover: "dns:fn", nodes: "127.0.0.1:8080" }).nodes.map(({ id }) => id),
      ["127.0.0.1:8080"],
    );
  });

  it("belongs to one cluster where there are several", () => {
    const file = parseConfigFile(
      "clusters:\n  a:\n    discover: dns:fn\n  b:\n    nodes: b\nroutes:\n  - cluster: a\n",
      "fnlb.yaml",
    );
    const { clusters } = resolveConfig({ file });
    assert.deepEqual(
      clusters.map(({ discover, nodes }) => [discover.kind, nodes.length]),
      [
        ["dns", 0],
        ["none", 1],
      ],
    );
    assert.match(
      messageOf(() => resolveConfig({ file, options: { discover: "dns:fn" } })),
      /^option "discover" must be left out where a config file has several clusters/,
    );
  });

  it("or a list is what each of several clusters needs", () => {
    assert.match(
      messageOf(() => parseConfigFile('clusters:\n  a:\n    nodes: a\n  b:\n    discover: ""\n', "fnlb.yaml")),
      /cluster "b" must have "nodes" or "discover" where there are several clusters$/,
    );
  });

  it("needs a longest interval that is not below the shortest", () => {
    assert.match(
      messageOf(() => resolve({ discover: "dns:fn", "discover-min-interval": "2s", "discover-max-interval": "1s" })),
      /^option "discover-max-interval" must be at least --discover-min-interval, got "1s"$/,
    );
  });

  it("takes no https service without the name that its nodes must prove to have", () => {
    assert.match(
      messageOf(() => resolve({ discover: "srv:https://_fn._tcp.example" })),
      /^option "discover" must be given with --node-tls-name for https services/,
    );
    assert.equal(resolve({ discover: "srv:https://_fn._tcp.example", "node-tls-name": "fn" }).nodeTlsName, "fn");
  });
});
