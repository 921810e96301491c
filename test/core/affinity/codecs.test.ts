import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { codecList } from "../../../src/core/affinity/codec-list.js";
import { isCookieValue } from "../../../src/core/affinity/cookie.js";
import type { CookieCodec } from "../../../src/core/affinity/cookie-codec.js";
import { encryptedCodec } from "../../../src/core/affinity/encrypted-codec.js";
import { hashCodec } from "../../../src/core/affinity/hash-codec.js";
import { rawCodec } from "../../../src/core/affinity/raw-codec.js";
import { signedCodec } from "../../../src/core/affinity/signed-codec.js";
import { createNode } from "../../../src/core/node.js";
import { FakeClock } from "../../support/fake-clock.js";
import { nodesOf } from "../small-cluster.js";

const NODES = nodesOf(["10.0.0.1:8080", "10.0.0.2:8080/base", "[::1]:8080"]);
const [NODE, OTHER] = NODES;
const KEY = "a secret of more than 16 bytes";
const OLD_KEY = "the secret of the month before";
const AES_KEYS = [16, 24, 32].map((length) => new Uint8Array(length).fill(length));

function encrypted(keys: readonly (string | Uint8Array)[], ttlMs = 0, clock = new FakeClock()) {
  return { clock, codec: encryptedCodec({ clock, randomBytes }, { keys, ttlMs }) };
}

const CODECS: Readonly<Record<string, CookieCodec>> = {
  signed: signedCodec({ keys: [KEY] }),
  "encrypted by AES-128": encrypted([AES_KEYS[0]]).codec,
  "encrypted by AES-192": encrypted([AES_KEYS[1]]).codec,
  "encrypted by AES-256, with a ttl": encrypted([AES_KEYS[2]], 60_000).codec,
  raw: rawCodec(),
  hash: hashCodec({ salt: "x" }),
  "a list": codecList([signedCodec({ keys: [KEY] }), rawCodec()]),
};

/** URLs as oxy had them, of one node each. */
function withUrls(...urls: readonly string[]) {
  const nodes = nodesOf(urls.map((_, index) => `n${index}:80`));
  return { nodes, url: ({ index }: { readonly index: number }) => urls[index] };
}

describe("cookie codecs", () => {
  for (const [name, codec] of Object.entries(CODECS)) {
    it(`O14: ${name}: every node knows its own cookie and no other's`, () => {
      for (const node of NODES) {
        const value = codec.encode(node);
        assert.ok(isCookieValue(value), value);
        assert.equal(codec.decode(value, NODES), node);
        assert.equal(codec.decode(value, [...NODES].reverse()), node);
      }
    });

    it(`${name}: a node that has left is nobody`, () => {
      const rest = NODES.filter((node) => node !== NODE);
      assert.equal(codec.decode(codec.encode(NODE), rest), undefined);
      assert.equal(codec.decode(codec.encode(NODE), []), undefined);
    });

    it(`${name}: takes no garbage, and never throws`, () => {
      const value = codec.encode(NODE);
      const wrong = [
        "",
        ".",
        "=",
        "__proto__",
        "constructor",
        "http://",
        "%",
        "a.b",
        `${value}${value}`,
        "A".repeat(99_999),
      ];
      for (const garbage of wrong) assert.equal(codec.decode(garbage, NODES), undefined, garbage.slice(0, 40));
      fc.assert(
        fc.property(fc.string({ unit: "binary" }), (garbage) => {
          assert.equal(codec.decode(garbage, NODES), undefined);
        }),
      );
    });
  }

  for (const name of ["signed", "encrypted by AES-128", "encrypted by AES-256, with a ttl"]) {
    const codec = CODECS[name];

    it(`${name}: one changed character makes it worthless`, () => {
      const value = codec.encode(NODE);
      // In the last one some bits are not part of the message: base64url has several spellings for them.
      for (let at = 0; at < value.length - 1; at++) {
        const forged = `${value.slice(0, at)}${value[at] === "A" ? "B" : "A"}${value.slice(at + 1)}`;
        assert.equal(codec.decode(forged, NODES), undefined, forged);
      }
      for (let length = 0; length < value.length - 1; length++) {
        assert.equal(codec.decode(value.slice(0, length), NODES), undefined);
      }
    });

    it(`${name}: says nothing about the node`, () => {
      const value = codec.encode(NODE);
      const bytes = Buffer.from(value, "base64url").toString("latin1");
      for (const text of [value, bytes]) assert.ok(!text.includes("10.0.0.1") && !text.includes("8080"));
    });
  }
});

describe("signed cookies", () => {
  it("are an opaque id and its HMAC-SHA-256", () => {
    const value = CODECS.signed.encode(NODE);
    const [opaque, signature, ...rest] = value.split(".");
    assert.deepEqual(rest, []);
    assert.equal(signature, createHmac("sha256", KEY).update(`fnlb cookie ${opaque}`).digest("base64url"));
    assert.equal(value, CODECS.signed.encode(createNode(NODE.id, 7, NODE.address, 3)), "the same on every replica");
  });

  it("hide the node behind a keyed hash: whoever lacks the key cannot try all addresses", () => {
    const [opaque] = CODECS.signed.encode(NODE).split(".");
    assert.notEqual(
      opaque,
      signedCodec({ keys: [OLD_KEY] })
        .encode(NODE)
        .split(".")[0],
    );
  });

  it("are written with the first key and accepted with all: keys rotate", () => {
    const before = signedCodec({ keys: [OLD_KEY] });
    const during = signedCodec({ keys: [KEY, OLD_KEY] });
    const after = signedCodec({ keys: [KEY] });
    assert.equal(during.decode(before.encode(NODE), NODES), NODE);
    assert.equal(after.decode(during.encode(NODE), NODES), NODE);
    assert.equal(before.decode(during.encode(NODE), NODES), undefined);
    assert.equal(after.decode(before.encode(NODE), NODES), undefined);
  });

  it("do not go with the signature of another node", () => {
    const [opaque] = CODECS.signed.encode(NODE).split(".");
    const [, signature] = CODECS.signed.encode(OTHER).split(".");
    assert.equal(CODECS.signed.decode(`${opaque}.${signature}`, NODES), undefined);
  });

  it("take keys as text or bytes", () => {
    const bytes = signedCodec({ keys: [new TextEncoder().encode(KEY)] });
    assert.equal(bytes.encode(NODE), CODECS.signed.encode(NODE));
  });

  it("refuse weak keys, none and too many, and do not show them", () => {
    assert.throws(() => signedCodec({ keys: ["fifteen letters"] }), {
      code: "ERR_OPTION",
      message: 'option "keys" must be keys of 16 or more bytes, got one of 15',
    });
    for (const keys of [[], new Array(17).fill(KEY)]) {
      assert.throws(() => signedCodec({ keys }), {
        code: "ERR_OPTION",
        message: /^option "keys" must be 1 to 16 keys/,
      });
    }
  });
});

describe("encrypted cookies", () => {
  it("differ each time, by their random nonce", () => {
    const { codec } = encrypted([AES_KEYS[0]]);
    assert.equal(new Set(Array.from({ length: 100 }, () => codec.encode(NODE))).size, 100);
  });

  it("ask for a nonce of 96 bits, and carry it in front", () => {
    const sizes: number[] = [];
    const nonce = (size: number) => {
      sizes.push(size);
      return new Uint8Array(size).fill(7);
    };
    const codec = encryptedCodec({ clock: new FakeClock(), randomBytes: nonce }, { keys: [AES_KEYS[2]] });
    const value = Buffer.from(codec.encode(NODE), "base64url");
    assert.deepEqual(sizes, [12]);
    assert.deepEqual([...value.subarray(0, 12)], new Array(12).fill(7));
  });

  it("O14: end with their ttl, to the millisecond", () => {
    const { clock, codec } = encrypted([AES_KEYS[0]], 60_000);
    const value = codec.encode(NODE);
    clock.pass(59_999);
    assert.equal(codec.decode(value, NODES), NODE);
    clock.pass(1);
    assert.equal(codec.decode(value, NODES), undefined);
  });

  it("do not end without one", () => {
    const { clock, codec } = encrypted([AES_KEYS[0]]);
    const value = codec.encode(NODE);
    clock.pass(100 * 365 * 86_400_000);
    assert.equal(codec.decode(value, NODES), NODE);
  });

  it("O14: are written with the first key and read with all, of any length", () => {
    const [before, during, after] = [[AES_KEYS[0]], [AES_KEYS[2], AES_KEYS[0]], [AES_KEYS[2]]].map(
      (keys) => encrypted(keys).codec,
    );
    assert.equal(during.decode(before.encode(NODE), NODES), NODE);
    assert.equal(after.decode(during.encode(NODE), NODES), NODE);
    assert.equal(after.decode(before.encode(NODE), NODES), undefined);
  });

  it("refuse keys of other lengths and a negative ttl", () => {
    for (const length of [0, 15, 17, 31, 33, 64]) {
      assert.throws(() => encrypted([new Uint8Array(length)]), {
        code: "ERR_OPTION",
        message: `option "keys" must be keys of 16, 24 or 32 bytes, got one of ${length}`,
      });
    }
    assert.throws(() => encrypted([AES_KEYS[0]], -1), { code: "ERR_OPTION" });
  });
});

describe("raw cookies", () => {
  it("O14: are the node's URL", () => {
    assert.equal(rawCodec().encode(OTHER), "http://10.0.0.2:8080/base");
    assert.equal(rawCodec().decode("http://10.0.0.1:8080", NODES), NODE);
    assert.equal(rawCodec().decode("http://[::1]:8080/", NODES), NODES[2]);
    const socket = createNode("unix:/run/fn.sock", 0, { kind: "unix", path: "/run/fn.sock", basePath: "" }, 1);
    assert.equal(rawCodec().decode(rawCodec().encode(socket), [socket])?.id, socket.id);
  });

  it("O14: a URL with userinfo, query or fragment matches its own cookie, and oxy's", () => {
    const { nodes, url } = withUrls("http://user:pass@10.10.10.10/base?a=1;b=2#c", "https://b.example");
    const codec = rawCodec({ url });
    for (const node of nodes) assert.equal(codec.decode(codec.encode(node), nodes), node);
    assert.equal(codec.decode("http://user:pass@10.10.10.10/base?a=1;b=2#c", nodes), nodes[0]);
    assert.equal(codec.decode("http://10.10.10.10/base", nodes), nodes[0]);
    assert.equal(codec.encode(nodes[0]), "http://10.10.10.10/base", "the password stays in the house");
  });

  it("compare scheme, host and path", () => {
    const { nodes, url } = withUrls("http://a/base");
    const codec = rawCodec({ url });
    assert.equal(codec.decode("HTTP://A:80/base", nodes), nodes[0]);
    for (const other of ["https://a/base", "http://b/base", "http://a:81/base", "http://a/", "http://a/base/"]) {
      assert.equal(codec.decode(other, nodes), undefined, other);
    }
  });

  it("are of characters that a cookie may have, whatever the path", () => {
    const { nodes, url } = withUrls('http://a/x;Domain=evil,y" \\z');
    const codec = rawCodec({ url });
    assert.ok(isCookieValue(codec.encode(nodes[0])), codec.encode(nodes[0]));
    assert.equal(codec.decode(codec.encode(nodes[0]), nodes), nodes[0]);
  });

  it("are not to be had of a node without a URL, which harms no other", () => {
    const { nodes, url } = withUrls("no URL", "http://a");
    const codec = rawCodec({ url });
    assert.throws(() => codec.encode(nodes[0]), { code: "ERR_OPTION" });
    assert.equal(codec.decode("no URL", nodes), undefined);
    assert.equal(codec.decode("http://a", nodes), nodes[1]);
  });
});

describe("hash cookies", () => {
  it("O14: are FNV-1a-64 of salt and URL, as oxy has them", () => {
    const { nodes, url } = withUrls("http://10.10.10.10/");
    for (const [salt, value] of [
      ["", "8130f1b82fc2d194"],
      ["foo", "efcfe639b35fe7ae"],
      ["x", "1e8e2cb64d4dff1e"],
    ]) {
      assert.equal(hashCodec({ salt, url }).encode(nodes[0]), value);
      assert.equal(hashCodec({ salt, url }).decode(value, nodes), nodes[0]);
    }
  });

  it("O14: a URL with userinfo or query matches its own cookie", () => {
    const { nodes, url } = withUrls("http://user:pass@10.10.10.10/?a=1", "http://10.10.10.10/");
    const codec = hashCodec({ url });
    for (const node of nodes) assert.equal(codec.decode(codec.encode(node), nodes), node);
  });
});

describe("a list of codecs", () => {
  it("O14: writes with the first and accepts all: formats migrate", () => {
    const clock = new FakeClock();
    const aes = encryptedCodec({ clock, randomBytes }, { keys: [AES_KEYS[0]], ttlMs: 1000 });
    const list = codecList([CODECS.signed, aes, hashCodec(), rawCodec()]);
    assert.equal(list.encode(NODE), CODECS.signed.encode(NODE));
    for (const codec of [CODECS.signed, aes, hashCodec(), rawCodec()]) {
      assert.equal(list.decode(codec.encode(OTHER), NODES), OTHER);
    }
    assert.equal(list.decode(hashCodec({ salt: "other" }).encode(OTHER), NODES), undefined);
    const expired = aes.encode(NODE);
    clock.pass(1000);
    assert.equal(list.decode(expired, NODES), undefined);
  });

  it("has one codec at least", () => {
    assert.throws(() => codecList([]), { code: "ERR_OPTION" });
  });
});
