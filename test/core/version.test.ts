import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { compareVersions, parseVersion, type Version } from "../../src/core/version.js";

function version(text: string): Version {
  const parsed = parseVersion(text);
  assert.ok(parsed !== undefined, text);
  return parsed;
}

const order = (a: string, b: string) => Math.sign(compareVersions(version(a), version(b)));

const number = fc.oneof(fc.nat({ max: 3 }).map(String), fc.bigInt({ min: 0n, max: 10n ** 30n }).map(String));
const word = fc.stringMatching(/^[0-9]{0,2}[a-zA-Z-][0-9a-zA-Z-]{0,3}$/);
const text = fc
  .tuple(number, number, number, fc.array(fc.oneof(number, word), { maxLength: 3 }))
  .map(([major, minor, patch, pre]) => `${major}.${minor}.${patch}${pre.length === 0 ? "" : `-${pre.join(".")}`}`);

describe("versions", () => {
  it("come in the order of semver.org", () => {
    for (const ordered of [
      [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
      ],
      ["1.0.0", "2.0.0", "2.1.0", "2.1.1", "10.0.0"],
      ["0.0.9", "0.0.10", "0.0.99", "0.0.235", "0.1.0", "1.0.0-0", "1.0.0"],
      ["1.0.0--", "1.0.0-A", "1.0.0-Z", "1.0.0-a", "1.0.0-a.0", "1.0.0-a.0.0", "1.0.0-a.-"],
      ["9007199254740992.0.0", "9007199254740993.0.0", "90071992547409920.0.0"],
      ["1.0.0-9007199254740992", "1.0.0-9007199254740993", "1.0.0-0a"],
    ]) {
      for (const [first, a] of ordered.entries())
        for (const [second, b] of ordered.entries())
          assert.equal(order(a, b), Math.sign(first - second), `${a} and ${b}`);
    }
  });

  it("have the same precedence whatever their build metadata", () => {
    assert.equal(order("1.0.0+a", "1.0.0+b.001"), 0);
    assert.equal(order("1.0.0-rc.1+20130313144700", "1.0.0-rc.1"), 0);
    assert.equal(order("1.0.0-rc+5", "1.0.0"), -1);
  });

  it("are read as far as the grammar goes", () => {
    const good = [
      "0.0.4",
      "1.2.3",
      "10.20.30",
      "1.1.2-prerelease+meta",
      "1.1.2+meta",
      "1.1.2+meta-valid",
      "1.0.0-alpha",
    ];
    good.push("1.0.0-alpha.beta.1", "1.0.0-alpha0.valid", "1.0.0-alpha-a.b-c-somethinglong+build.1-aef.1-its-okay");
    good.push(
      "1.0.0-rc.1+build.123",
      "10.2.3-DEV-SNAPSHOT",
      "1.2.3-SNAPSHOT-123",
      "2.0.0+build.1848",
      "1.0.0-0A.is.legal",
    );
    good.push("1.0.0+0.build.1-rc.10000aaa-kk-0.1", "99999999999999999999999.999999999999999999.99999999999999999");
    good.push("1.2.3----RC-SNAPSHOT.12.9.1--.12+788", "1.2.3----R-S.12.9.1--.12+meta", "1.0.0-00a");
    for (const each of good) assert.ok(parseVersion(each) !== undefined, each);
    assert.deepEqual(parseVersion("1.20.3-rc.1+build"), { numbers: ["1", "20", "3"], prerelease: ["rc", "1"] });
    assert.deepEqual(parseVersion("0.0.0"), { numbers: ["0", "0", "0"], prerelease: [] });
  });

  it("are refused beyond it", () => {
    const bad = [
      "",
      "1",
      "1.2",
      "1.2.3.4",
      "v1.2.3",
      "V1.2.3",
      "=1.2.3",
      " 1.2.3",
      "1.2.3 ",
      "1.2.3\n",
      "1. 2.3",
      "a.b.c",
    ];
    bad.push(
      "01.1.1",
      "1.01.1",
      "1.1.01",
      "1.2.3-0123",
      "1.2.3-0123.0123",
      "1.1.2+.123",
      "+invalid",
      "-invalid",
      "alpha",
    );
    bad.push(
      "1.2.3-",
      "1.2.3+",
      "1.2.3-a..b",
      "1.2.3-.a",
      "1.2.3-a.",
      "1.2.3+a..b",
      "1.2.3+a+b",
      "1.2.3-ä",
      "1.2.3-a_b",
    );
    bad.push(
      "-1.0.3-gamma+b7718",
      "1.1.2+meta+meta",
      "1.2-SNAPSHOT",
      "1.2.31.2.3",
      "1.-2.3",
      "1e3.0.0",
      "0x1.0.0",
      "１.2.3",
    );
    bad.push(`1.2.3-${"a".repeat(251)}`, `${"1".repeat(300)}.0.0`);
    for (const each of bad) assert.equal(parseVersion(each), undefined, JSON.stringify(each));
    assert.ok(parseVersion(`1.2.3-${"a".repeat(250)}`) !== undefined, "256 characters are read");
  });

  it("are totally ordered", () => {
    fc.assert(
      fc.property(text, text, text, (a, b, c) => {
        assert.equal(order(a, a), 0);
        assert.equal(order(a, b), -order(b, a));
        if (order(a, b) === 0) assert.equal(a, b, "only build metadata, which these have not, is without order");
        if (order(a, b) <= 0 && order(b, c) <= 0) assert.ok(order(a, c) <= 0);
      }),
      { numRuns: 1000 },
    );
  });

  it("are ordered by their numbers before anything else", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), word, (a, b, pre) => {
        assert.equal(order(`1.${a}.0-${pre}`, `1.${b}.0`), a <= b ? -1 : 1);
      }),
    );
  });
});
