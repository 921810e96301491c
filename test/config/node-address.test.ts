import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { NodeConfig } from "../../src/config/config.js";
import { parseNodeName, parseNodes } from "../../src/config/node-address.js";

function nodesOf(text: string): readonly NodeConfig[] {
  const nodes = parseNodes(text);
  if ("reason" in nodes) assert.fail(nodes.reason);
  return nodes;
}

function reasonOf(text: string): string {
  const nodes = parseNodes(text);
  if (!("reason" in nodes)) assert.fail(`${text} was taken for ${JSON.stringify(nodes)}`);
  return nodes.reason;
}

describe("a list of nodes", () => {
  it("has a port, 8080 where none is given, and blanks around items do not matter", () => {
    assert.deepEqual(
      nodesOf(" a , b:9000,10.0.0.1 ").map(({ id }) => id),
      ["a:8080", "b:9000", "10.0.0.1:8080"],
    );
    assert.deepEqual(nodesOf("a")[0], {
      id: "a:8080",
      address: { kind: "tcp", host: "a", port: 8080, basePath: "" },
      weight: 1,
    });
  });

  it("takes http URLs, with a base path that ends without a slash", () => {
    const base = (text: string) => nodesOf(text)[0].address.basePath;
    assert.equal(base("http://h:80/base"), "/base");
    assert.equal(base("http://h:80/base/"), "/base");
    assert.equal(base("http://h:80/a/b//"), "/a/b");
    assert.equal(base("http://h:80/"), "");
    assert.equal(base("http://h"), "");
    assert.equal(base("HTTP://h/base"), "/base");
    assert.equal(base("h:80/base"), "/base");
    assert.equal(base("h/a%20b;c=1/d"), "/a%20b;c=1/d");
  });

  it("takes IPv6 in brackets and unix sockets", () => {
    assert.deepEqual(nodesOf("[::1]:8080")[0].address, { kind: "tcp", host: "::1", port: 8080, basePath: "" });
    assert.equal(nodesOf("[::1]")[0].id, "[::1]:8080");
    assert.deepEqual(nodesOf("unix:/run/fn.sock")[0], {
      id: "unix:/run/fn.sock",
      address: { kind: "unix", path: "/run/fn.sock", basePath: "" },
      weight: 1,
    });
  });

  it("takes a weight behind each node, 0 for a node that drains", () => {
    const weight = (text: string) => nodesOf(text)[0].weight;
    assert.equal(weight("a:80=2"), 2);
    assert.equal(weight("a=0.5"), 0.5);
    assert.equal(weight("a = 0"), 0);
    assert.equal(weight("[::1]:80=3"), 3);
    assert.equal(weight("http://h/base=4"), 4);
    assert.equal(weight("unix:/run/fn.sock=5"), 5);
  });

  it("names a node in one way, however it was written", () => {
    for (const text of ["a", "A", "a:8080", "http://a", "http://A:8080/", "http://a:8080//"])
      assert.equal(nodesOf(text)[0].id, "a:8080", text);
  });

  it("speaks TLS to https nodes, at 443 unless they say otherwise, and tells them from those in the clear", () => {
    const [secure, other, plain] = nodesOf("https://a,https://[::1]:8443/base=2,a:443");
    assert.deepEqual(secure.address, { kind: "tcp", host: "a", port: 443, basePath: "", tls: true });
    assert.deepEqual([other.id, other.weight], ["https://[::1]:8443/base", 2]);
    assert.deepEqual(
      [secure.id, plain.id, plain.address],
      ["https://a:443", "a:443", { kind: "tcp", host: "a", port: 443, basePath: "" }],
    );
  });

  it("names the item that is wrong", () => {
    for (const [text, reason] of [
      ["", /empty item/],
      ["a,,b", /empty item/],
      ["a,b,", /empty item/],
      ["a,a", /"a:8080" twice/],
      ["a,http://A:8080/", /"a:8080" twice/],
      ["a,b:0", /"b:0", whose port/],
      ["a,b:65536", /"b:65536", whose port/],
      ["a,b:abc", /"b:abc", whose port/],
      ["a,b:", /"b:", whose port/],
      ["ftp://a", /"ftp:\/\/a", whose scheme is neither http nor https/],
      ["https://a,https://A:443/", /"https:\/\/a:443" twice/],
      ["http://user:pw@a", /"http:\/\/\*\*\*@a"/],
      ["user@a", /"user@a"/],
      ["http://a/b?c", /"http:\/\/a\/b\?c", whose base path/],
      ["http://a/b#c", /base path/],
      ["http://a/b c", /base path/],
      ["http://a/b//c", /empty segment/],
      ["http://", /"http:\/\/"/],
      ["a=NaN", /"a=NaN", whose weight/],
      ["a=-1", /weight/],
      ["a=", /weight/],
      ["a=1e3", /weight/],
      ["a=1001", /weight/],
      ["a=Infinity", /weight/],
      ["::1", /"::1"/],
      ["::1:8080", /"::1:8080"/],
      ["[::zz]:80", /not IPv6/],
      ["1.2.3.4.5", /"1.2.3.4.5"/],
      ["300.1.1.1", /"300.1.1.1"/],
      ["unix:", /no socket/],
      ["a b", /"a b"/],
    ] as const)
      assert.match(reasonOf(text), reason, text);
  });

  it("gives each node back from its own id", () => {
    const host = fc.oneof(
      fc.ipV4(),
      fc.ipV6().map((address) => `[${address}]`),
      fc.domain(),
    );
    const base = fc.array(fc.stringMatching(/^[a-z0-9._~-]{1,8}$/), { maxLength: 3 });
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65_535 }), base, (name, port, segments) => {
        const path = segments.map((segment) => `/${segment}`).join("");
        const [node] = nodesOf(`http://${name}:${port}${path}=7`);
        assert.equal(node.weight, 7);
        assert.deepEqual(nodesOf(node.id), [{ ...node, weight: 1 }]);
      }),
    );
  });

  it("is a list or a reason for any text, and never an exception", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a:/[\]=,.@0-9 ?#-]{0,20}$/)), (text) => {
        const nodes = parseNodes(text);
        if ("reason" in nodes) return;
        assert.equal(new Set(nodes.map(({ id }) => id)).size, nodes.length);
        for (const { address, weight } of nodes) {
          assert.ok(weight >= 0 && Number.isFinite(weight));
          assert.ok(!address.basePath.endsWith("/"));
        }
      }),
    );
  });
});

describe("the name of a node", () => {
  it("is an item of a list without a weight", () => {
    for (const [text, id] of [
      ["a", "a:8080"],
      [" A:80 ", "a:80"],
      ["http://h/base/", "h:8080/base"],
      ["https://h", "https://h:443"],
      ["[0:0::1]:80", "[::1]:80"],
      ["unix:/run/a=b", "unix:/run/a=b"],
      ["http://h/a=2", "h:8080/a=2"],
    ] as const) {
      const node = parseNodeName(text);
      assert.equal("reason" in node ? node.reason : node.id, id);
    }
  });

  it("has no weight, and is one", () => {
    for (const text of ["", "a=2", "a:80=2", "a,b", "unix:", "quic://a"]) {
      const node = parseNodeName(text);
      assert.ok("reason" in node, text);
      assert.ok(node.reason.startsWith(`${JSON.stringify(text)}, `), node.reason);
      assert.doesNotMatch(node.reason, /with an optional =weight/);
      assert.equal(node.reason.includes("whose weight is to be said apart"), text.endsWith("=2"), node.reason);
    }
  });

  it("is given back from the id of every node that a list can have", () => {
    const text = fc.stringMatching(/^(unix:\/|https?:\/\/h\/|h:)[a-z0-9/=.-]{1,12}$/);
    fc.assert(
      fc.property(text, (item) => {
        const nodes = parseNodes(item);
        if ("reason" in nodes) return;
        const node = parseNodeName(nodes[0].id);
        assert.equal("reason" in node ? node.reason : node.id, nodes[0].id);
      }),
    );
  });
});
