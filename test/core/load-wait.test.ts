import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Exchange } from "../../src/core/exchange.js";
import { hashString } from "../../src/core/hash.js";
import { LoadWait, type LoadWaitOptions } from "../../src/core/load-wait.js";
import type { Node } from "../../src/core/node.js";
import { NodeSet } from "../../src/core/node-set.js";
import { FnlbError } from "../../src/errors.js";
import { FakeClock } from "../support/fake-clock.js";
import { seeded } from "../support/seeded-random.js";
import { BY_KEY, POLICY_NAMES, policyNamed } from "./every-policy.js";
import { addresses, exchangeOf, nodesOf } from "./small-cluster.js";

function loadWaitOf(options: LoadWaitOptions = {}) {
  const clock = new FakeClock();
  const counts = { forgotten: 0 };
  const loadWait = new LoadWait(
    { now: () => clock.now(), random: seeded(3), onForgotten: () => counts.forgotten++ },
    options,
  );
  return { clock, counts, loadWait };
}

const [A, B, C] = nodesOf(addresses(3));
const KEY = hashString("/f");

/** Share of so many questions to which the answer is to hold back. */
function heldBack(loadWait: LoadWait, node: Node, keyHash = KEY, questions = 4000): number {
  let held = 0;
  for (let question = 0; question < questions; question++) if (loadWait.holdsBack(node, keyHash)) held++;
  return held / questions;
}

function assertNear(share: number, expected: number): void {
  assert.ok(Math.abs(share - expected) < 0.03, `${share}, not ${expected}`);
}

describe("the estimate of a load wait", () => {
  it("is the first sample as it is, then moves by a tenth to each", () => {
    const { loadWait } = loadWaitOf();
    assert.equal(loadWait.waitMs(A, KEY), 0);
    loadWait.note(A, KEY, 1000);
    assert.equal(loadWait.waitMs(A, KEY), 1000);
    loadWait.note(A, KEY, 3000);
    assert.equal(loadWait.waitMs(A, KEY), 1200);
    loadWait.note(A, KEY, 0);
    assert.equal(loadWait.waitMs(A, KEY), 1080);
  });

  it("is one per node and key", () => {
    const { loadWait } = loadWaitOf();
    loadWait.note(A, KEY, 1000);
    loadWait.note(B, KEY, 2000);
    loadWait.note(A, 0xffff_ffff, 3000);
    loadWait.note(B, 0, 4000);
    const seen = [A, B, C].map((node) => [KEY, 0xffff_ffff, 0].map((key) => loadWait.waitMs(node, key)));
    assert.deepEqual(seen, [
      [1000, 3000, 0],
      [2000, 0, 4000],
      [0, 0, 0],
    ]);
  });

  it("sinks to half in each half-life without traffic, so that a node that nobody asks is asked again", () => {
    const { loadWait, clock } = loadWaitOf();
    loadWait.note(A, KEY, 4000);
    assertNear(heldBack(loadWait, A), 0.9);
    clock.pass(10_000);
    assert.equal(loadWait.waitMs(A, KEY), 2000);
    clock.pass(20_000);
    assert.equal(loadWait.waitMs(A, KEY), 500);
    clock.pass(100);
    assert.equal(heldBack(loadWait, A), 0);
  });

  it("stays what the samples say while they come, however rarely", () => {
    const { loadWait, clock } = loadWaitOf({ halfLifeMs: 1000 });
    for (const gapMs of [1, 100, 5000, 60_000, 3_600_000]) {
      clock.pass(gapMs);
      loadWait.note(A, KEY, 3000);
      assert.ok(Math.abs(loadWait.waitMs(A, KEY) - 3000) < 1e-6);
    }
  });

  it("believes a new sample more, the older the last one is", () => {
    const { loadWait, clock } = loadWaitOf();
    loadWait.note(A, KEY, 0);
    clock.pass(10_000);
    loadWait.note(A, KEY, 1000);
    assert.equal(loadWait.waitMs(A, KEY), 550);
    clock.pass(3_600_000);
    loadWait.note(A, KEY, 3000);
    assert.ok(Math.abs(loadWait.waitMs(A, KEY) - 3000) < 1e-6, "an hour later it is like the first");
  });

  it("is never above the largest sample nor below zero", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.double({ min: 0, max: 1e7, noNaN: true }), fc.nat(100_000)), { minLength: 1 }),
        (samples) => {
          const { loadWait, clock } = loadWaitOf();
          let largest = 0;
          for (const [waitMs, gapMs] of samples) {
            largest = Math.max(largest, waitMs);
            loadWait.note(A, KEY, waitMs);
            clock.pass(gapMs);
            const now = loadWait.waitMs(A, KEY);
            assert.ok(now >= 0 && now <= largest * (1 + 1e-9), `${now} of ${largest}`);
          }
        },
      ),
    );
  });
});

describe("holding back by load", () => {
  for (const [waitMs, share] of [
    [0, 0],
    [499, 0],
    [500, 0.6],
    [1250, 0.75],
    [2000, 0.9],
    [60_000, 0.9],
  ]) {
    it(`turns down ${share * 100} % at ${waitMs} ms`, () => {
      const { loadWait } = loadWaitOf();
      loadWait.note(A, KEY, waitMs);
      const seen = heldBack(loadWait, A);
      if (share === 0) assert.equal(seen, 0);
      else assertNear(seen, share);
      assert.equal(heldBack(loadWait, A, KEY + 1), 0, "another key");
      assert.equal(heldBack(loadWait, B), 0, "another node");
    });
  }

  it("is not under way before a node has said something", () => {
    const { loadWait } = loadWaitOf();
    assert.equal(loadWait.isUnderWay, false);
    loadWait.note(A, KEY, 0);
    assert.equal(loadWait.isUnderWay, true);
  });
});

describe("the memory of load waits", () => {
  it("is bounded, forgets what was not renewed for longest, and counts it", () => {
    const { loadWait, counts } = loadWaitOf({ entriesMax: 3 });
    for (const key of [1, 2, 3]) loadWait.note(A, key, 1000);
    loadWait.note(A, 1, 1000);
    assert.equal(counts.forgotten, 0);
    loadWait.note(B, 4, 1000);
    assert.deepEqual(
      [1, 2, 3].map((key) => loadWait.waitMs(A, key)),
      [1000, 0, 1000],
    );
    assert.deepEqual([loadWait.size, counts.forgotten, loadWait.waitMs(B, 4)], [3, 1, 1000]);
  });

  it("holds 100,000 estimates by default, whatever clients ask for", () => {
    const { loadWait, counts } = loadWaitOf();
    for (let key = 0; key < 100_500; key++) loadWait.note(A, key, 1);
    assert.deepEqual([loadWait.size, counts.forgotten], [100_000, 500]);
  });

  it("forgets nodes that have left, and knows nothing of who comes in their place", () => {
    const { loadWait } = loadWaitOf();
    for (const node of [A, B, C]) loadWait.note(node, KEY, 3000);
    loadWait.retain([A, C]);
    assert.equal(loadWait.size, 2);
    const [joined] = nodesOf(["10.9.9.9:80"]);
    assert.deepEqual(
      [A, B, C, joined].map((node) => loadWait.waitMs(node, KEY)),
      [3000, 0, 3000, 0],
    );
    loadWait.note(joined, KEY, 700);
    assert.deepEqual(
      [A, C, joined].map((node) => loadWait.waitMs(node, KEY)),
      [3000, 3000, 700],
    );
    loadWait.retain([]);
    assert.deepEqual([loadWait.size, loadWait.isUnderWay], [0, false]);
  });

  it("refuses bounds that are none", () => {
    for (const options of [{ entriesMax: 0 }, { entriesMax: Number.NaN }, { halfLifeMs: 0 }, { halfLifeMs: -1 }]) {
      assert.throws(
        () => loadWaitOf(options),
        (error) => error instanceof FnlbError && error.code === "ERR_OPTION",
      );
    }
  });
});

const PATHS = Array.from({ length: 40 }, (_, number) => `/f/${number}`);

/**
 * Traffic over four nodes that say how long they let wait, picked as a cluster picks: who holds back is asked again
 * only when nobody else is left.
 */
function trafficOf(name: (typeof POLICY_NAMES)[number], waitOf: (node: Node, path: string) => number) {
  const { loadWait, clock } = loadWaitOf();
  const nodes = nodesOf(addresses(4));
  const policy = policyNamed(name, { now: () => clock.now() });
  policy.update(nodes);
  const held = new NodeSet();
  const pick = (exchange: Exchange): Node => {
    const first = policy.pick(exchange, () => true) ?? assert.fail("nobody was picked");
    held.clear();
    let node: Node | undefined = first;
    while (node !== undefined && loadWait.holdsBack(node, exchange.keyHash)) {
      held.add(node.index);
      node = policy.pick(exchange, (candidate) => !held.has(candidate.index));
    }
    return node ?? first;
  };
  const ask = (path: string): Node => {
    const exchange = exchangeOf(path);
    const node = pick(exchange);
    loadWait.note(node, exchange.keyHash, waitOf(node, path));
    clock.pass(1);
    return node;
  };
  const homeOf = (path: string) => policy.pick(exchangeOf(path), () => true)!;
  return { clock, ask, homeOf };
}

for (const name of BY_KEY) {
  describe(`load waits, ${name}`, () => {
    it("send nine of ten requests of a path elsewhere when its node says 3 s, and leave other paths alone", () => {
      const [hot, ...calm] = PATHS;
      const home = trafficOf(name, () => 0).homeOf(hot);
      const { ask } = trafficOf(name, (node, path) => (path === hot && node.index === home.index ? 3000 : 10));
      assert.equal(ask(hot).index, home.index, "nobody knew before the first answer");
      let away = 0;
      for (let turn = 0; turn < 2000; turn++) if (ask(hot).index !== home.index) away++;
      assertNear(away / 2000, 0.9);
      const before = trafficOf(name, () => 0);
      for (const path of calm) assert.equal(ask(path).index, before.homeOf(path).index);
    });

    it("move nobody below half a second", () => {
      const { ask, homeOf } = trafficOf(name, () => 499);
      for (let turn = 0; turn < 5; turn++) for (const path of PATHS) assert.equal(ask(path), homeOf(path));
    });

    it("let a path come home when its node says that it is calm again", () => {
      let waitMs = 3000;
      const [hot] = PATHS;
      const home = trafficOf(name, () => 0).homeOf(hot);
      const { ask } = trafficOf(name, (node) => (node.index === home.index ? waitMs : 10));
      const atHome = (turns: number) => {
        let count = 0;
        for (let turn = 0; turn < turns; turn++) if (ask(hot).index === home.index) count++;
        return count / turns;
      };
      assert.ok(atHome(500) < 0.2);
      waitMs = 10;
      atHome(500);
      assert.equal(atHome(200), 1);
    });

    it("let it come home when nobody asked for a while, too", () => {
      const [hot] = PATHS;
      let isCalm = false;
      const home = trafficOf(name, () => 0).homeOf(hot);
      const { ask, clock } = trafficOf(name, (node) => (node.index === home.index && !isCalm ? 3000 : 10));
      for (let turn = 0; turn < 50; turn++) ask(hot);
      isCalm = true;
      clock.pass(60_000);
      for (let turn = 0; turn < 50; turn++) assert.equal(ask(hot).index, home.index);
    });
  });
}

for (const name of POLICY_NAMES) {
  it(`load waits, ${name}: serve all the same when every node lets wait`, () => {
    const { ask } = trafficOf(name, () => 30_000);
    for (let turn = 0; turn < 10; turn++) for (const path of PATHS) assert.ok(ask(path));
  });
}
