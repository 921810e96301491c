import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CookieCodec } from "../../../src/core/affinity/cookie-codec.js";
import { signedCodec } from "../../../src/core/affinity/signed-codec.js";
import { StickyHeader } from "../../../src/core/affinity/sticky-header.js";
import type { Exchange } from "../../../src/core/exchange.js";
import { createNode, type Node } from "../../../src/core/node.js";
import { NodeSet } from "../../../src/core/node-set.js";

const KEY = "0123456789abcdef";
const OLD_KEY = "fedcba9876543210";

function nodesOf(...names: readonly string[]): Node[] {
  return names.map((name, index) => createNode(name, index, { kind: "tcp", host: name, port: 80, basePath: "" }, 1));
}

const exchangeWith = (affinity: string | undefined, tried: readonly Node[] = []): Exchange => {
  const set = new NodeSet();
  for (const node of tried) set.add(node.index);
  return { keyHash: 1, tried: set, refusal: "none", stamp: 0, affinity, key: () => "/f" };
};

/** What a client has been told of a node, without the name of the field. */
const valueFor = (sticky: StickyHeader, members: readonly Node[], node: Node) =>
  sticky.line(undefined, members, node).slice("X-At: ".length);

describe("a sticky header", () => {
  const sticky = new StickyHeader({ name: "X-At", codec: signedCodec({ keys: [KEY] }) });

  it("is looked for in any case and written as it was named", () => {
    const [a] = nodesOf("a");
    assert.equal(sticky.field, "x-at");
    assert.match(sticky.line(undefined, [a], a), /^X-At: [\w-]{16}\.[\w-]{43}$/);
  });

  it("names the node that told it, and is then not told again", () => {
    const members = nodesOf("a", "b", "c");
    for (const node of members) {
      const sent = valueFor(sticky, members, node);
      assert.equal(sticky.find(exchangeWith(sent), members), node);
      assert.equal(sticky.line(sent, members, node), "");
    }
  });

  it("is told anew by another node than the one it names", () => {
    const members = nodesOf("a", "b");
    const sent = valueFor(sticky, members, members[0]);
    assert.equal(sticky.line(sent, members, members[1]), `X-At: ${valueFor(sticky, members, members[1])}`);
  });

  it("names nobody when it is missing, empty, garbled, forged, given twice or of a node that is gone", () => {
    const members = nodesOf("a", "b");
    const [good, gone] = [valueFor(sticky, members, members[0]), valueFor(sticky, nodesOf("z"), nodesOf("z")[0])];
    const forged = `${good.slice(0, -1)}${good.endsWith("A") ? "B" : "A"}`;
    for (const sent of [
      undefined,
      "",
      "a",
      "__proto__",
      forged,
      gone,
      `${good}, ${good}`,
      ` ${good}`,
      good.repeat(99),
    ]) {
      assert.equal(sticky.find(exchangeWith(sent), members), undefined, sent);
      assert.notEqual(sticky.line(sent, members, members[0]), "", sent);
    }
  });

  it("keeps to a draining node and one of weight 0, not to a dead, suspect, disabled, failing or tried one", () => {
    const members = nodesOf("a", "b");
    const [a] = members;
    const sent = valueFor(sticky, members, a);
    const found = (tried: readonly Node[] = []) => sticky.find(exchangeWith(sent, tried), members);
    a.mode = "draining";
    assert.equal(found(), a);
    a.mode = "active";
    a.weight = 0;
    assert.equal(found(), a);
    for (const fault of [{ alive: false }, { suspect: true }, { mode: "disabled" }, { check: "failing" }] as const) {
      const good = { ...a };
      Object.assign(a, fault);
      assert.equal(found(), undefined, JSON.stringify(fault));
      Object.assign(a, good);
      assert.equal(found(), a);
    }
    assert.equal(found([a]), undefined);
  });

  it("is renewed when its key is no longer the first, and keeps its node meanwhile", () => {
    const members = nodesOf("a", "b");
    const old = new StickyHeader({ name: "X-At", codec: signedCodec({ keys: [OLD_KEY] }) });
    const both = new StickyHeader({ name: "X-At", codec: signedCodec({ keys: [KEY, OLD_KEY] }) });
    const sent = valueFor(old, members, members[1]);
    assert.equal(both.find(exchangeWith(sent), members), members[1]);
    assert.equal(both.line(sent, members, members[1]), `X-At: ${valueFor(sticky, members, members[1])}`);
  });

  it("works with a codec that tells nothing of keys", () => {
    const members = nodesOf("a", "b");
    const codec: CookieCodec = {
      encode: (node) => node.id,
      decode: (value, among) => among.find(({ id }) => id === value),
    };
    const plain = new StickyHeader({ name: "X-At", codec });
    assert.equal(plain.find(exchangeWith("b"), members), members[1]);
    assert.deepEqual([plain.line("b", members, members[1]), plain.line("b", members, members[0])], ["", "X-At: a"]);
  });
});
