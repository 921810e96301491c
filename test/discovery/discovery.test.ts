import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import { tcpNode } from "../../src/config/node-address.js";
import { Counters } from "../../src/core/counters.js";
import type { LogFields } from "../../src/core/log.js";
import { type Discovery, type DiscoveryAnswer, decideWait, runDiscovery } from "../../src/discovery/discovery.js";
import { FakeClock, turns } from "../support/fake-clock.js";

const node = (host: string, weight = 1) => tcpNode({ kind: "tcp", host, port: 80, basePath: "" }, weight);
const found = (hosts: string, validMs: number | undefined = 1000): DiscoveryAnswer => ({
  nodes: hosts === "" ? [] : hosts.split(" ").map((host) => node(host)),
  validMs,
  fault: undefined,
});
const failed = (fault: string): DiscoveryAnswer => ({ nodes: undefined, validMs: undefined, fault });

/** A loop on a clock that stands still, over a source that answers what the test has last said. */
async function startLoop(t: TestContext, first: DiscoveryAnswer) {
  const clock = new FakeClock();
  const counters = new Counters();
  const events: string[] = [];
  const lists: string[] = [];
  const askedMs: number[] = [];
  const startMs = clock.now();
  const options = { cluster: "c", intervalMinMs: 1000, intervalMaxMs: 60_000, allowsEmpty: false, nodesMax: 3 };
  const state = { answer: first, answers: 0, trouble: undefined as string | undefined, isOver: false };
  const source: Discovery = {
    name: "dns:fn",
    find: () => {
      askedMs.push(clock.now() - startMs);
      return Promise.resolve(state.answer);
    },
  };
  const record = ({ event, ...fields }: LogFields) => {
    assert.deepEqual([fields.cluster, fields.source], ["c", "dns:fn"]);
    events.push(event);
  };
  const log = { debug: record, info: record, warn: record, error: record };
  const stop = new AbortController();
  t.after(() => stop.abort());
  const onNodes = (nodes: readonly { readonly id: string }[]) => lists.push(nodes.map(({ id }) => id).join(" "));
  const onAnswer = (trouble: string | undefined) => {
    state.answers++;
    state.trouble = trouble;
  };
  const loop = runDiscovery(
    { clock, random: () => 0, log, counters, onNodes, onAnswer },
    options,
    source,
    stop.signal,
  ).then(() => {
    state.isOver = true;
  });
  // Its first answer.
  await turns(2);
  return { clock, counters, events, lists, askedMs, options, state, stop, loop };
}

describe("discovery", () => {
  it("tells of other nodes once, sorted, however the answers are ordered", async (t) => {
    const { clock, lists, state, events } = await startLoop(t, found("b a c"));
    assert.deepEqual(lists, ["a:80 b:80 c:80"]);
    for (const hosts of ["a b c", "c b a", "b b c a a"]) {
      state.answer = found(hosts);
      await clock.advance(1000);
    }
    assert.equal(lists.length, 1);
    state.answer = found("c a");
    await clock.advance(1000);
    assert.deepEqual(lists.slice(1), ["a:80 c:80"]);
    assert.deepEqual(events, []);
  });

  it("takes another weight for a change, and the heavier of two", async (t) => {
    const { clock, lists, state } = await startLoop(t, { ...found(""), nodes: [node("a", 2), node("a", 5)] });
    assert.equal(lists.length, 1);
    state.answer = { ...found(""), nodes: [node("a", 5), node("a", 2)] };
    await clock.advance(1000);
    assert.equal(lists.length, 1);
    state.answer = { ...found(""), nodes: [node("a", 2)] };
    await clock.advance(1000);
    assert.equal(lists.length, 2);
  });

  it("asks again when the answer expires, within the limits", async (t) => {
    const { clock, askedMs, state } = await startLoop(t, found("a", 5000));
    await clock.advance(5000);
    assert.deepEqual(askedMs, [0, 5000]);
    state.answer = found("a", 0);
    await clock.advance(5000);
    assert.deepEqual(askedMs.slice(2), [10_000]);
    state.answer = found("a", 3_600_000);
    await clock.advance(1000);
    await clock.advance(60_000);
    assert.deepEqual(askedMs.slice(3), [11_000, 71_000]);
  });

  it("keeps what it had while the source fails, asks ever more seldom, and says so once", async (t) => {
    const { clock, askedMs, state, lists, events, counters } = await startLoop(t, found("a b"));
    state.answer = failed("A fn: ESERVFAIL");
    await clock.advance(1000 + 63_000 + 120_000);
    assert.deepEqual(
      askedMs.map((ms) => ms / 1000),
      [0, 1, 2, 4, 8, 16, 32, 64, 124, 184],
    );
    assert.deepEqual([lists.length, events], [1, ["discovery_failed"]]);
    assert.deepEqual([counters.discoveries, counters.discoveriesFailed], [10, 9]);
    state.answer = found("a b");
    await clock.advance(60_000);
    assert.deepEqual([lists.length, events], [1, ["discovery_failed", "discovery_recovered"]]);
    state.answer = failed("A fn: ETIMEOUT");
    await clock.advance(1000);
    assert.equal(events.length, 3, "a second failure is another transition");
  });

  it("takes the nodes of an answer with a fault, and asks again when they expire", async (t) => {
    const { lists, events, askedMs, clock, state } = await startLoop(t, {
      ...found("a", 2000),
      fault: "AAAA fn: ETIMEOUT",
    });
    await clock.advance(4000);
    assert.deepEqual([lists, events, askedMs], [["a:80"], ["discovery_failed"], [0, 2000, 4000]]);
    state.answer = { nodes: undefined, validMs: 1000, fault: undefined };
    await clock.advance(2000);
    assert.equal(events.length, 1, "an answer that says nothing says nothing of faults either");
    state.answer = found("a");
    await clock.advance(1000);
    assert.deepEqual(events, ["discovery_failed", "discovery_recovered"]);
  });

  it("says it again when something else is wrong", async (t) => {
    const { clock, counters, events, state } = await startLoop(t, failed("line 1 has no address"));
    for (const fault of ["line 1 has no address", "line 7 has no address", "line 7 has no address"]) {
      state.answer = { ...failed(fault), validMs: 1000 };
      await clock.advance(1000);
    }
    assert.deepEqual([counters.discoveriesFailed, events], [4, ["discovery_failed", "discovery_failed"]]);
  });

  it("ignores an empty answer, says so once, and takes it where that is allowed", async (t) => {
    const { clock, lists, events, state, options, counters } = await startLoop(t, found("a"));
    state.answer = found("");
    for (let round = 0; round < 3; round++) await clock.advance(1000);
    assert.deepEqual([lists, events, counters.discoveriesEmpty], [["a:80"], ["discovery_empty"], 1]);
    options.allowsEmpty = true;
    await clock.advance(1000);
    assert.deepEqual(lists, ["a:80", ""]);
    options.allowsEmpty = false;
    state.answer = found("b");
    await clock.advance(1000);
    state.answer = found("");
    await clock.advance(1000);
    assert.deepEqual([lists.length, events], [3, ["discovery_empty", "discovery_empty"]]);
  });

  it("takes no more nodes than the limit says, the same ones in every replica, and says so once", async (t) => {
    const { clock, lists, events, state, options, counters } = await startLoop(t, found("e d c b a"));
    await clock.advance(3000);
    assert.deepEqual([lists, events, counters.discoveriesOverLimit], [["a:80 b:80 c:80"], ["discovery_over_limit"], 1]);
    options.nodesMax = 4;
    await clock.advance(1000);
    assert.deepEqual([lists[1], events.length], ["a:80 b:80 c:80 d:80", 1]);
    state.answer = found("a b c d");
    await clock.advance(1000);
    state.answer = found("a b c d e");
    await clock.advance(1000);
    assert.equal(events.length, 2);
  });

  it("says when an answer has been dealt with, a failure included, and what is wrong until nothing is", async (t) => {
    const { state, events, clock } = await startLoop(t, failed("A fn: ETIMEOUT"));
    assert.deepEqual([state.answers, state.trouble, events], [1, "A fn: ETIMEOUT", ["discovery_failed"]]);
    const troubleOf = async (answer: DiscoveryAnswer) => {
      const { answers } = state;
      state.answer = answer;
      await clock.advance(1000);
      assert.equal(state.answers, answers + 1);
      return state.trouble;
    };
    assert.equal(await troubleOf(found("a")), undefined);
    assert.equal(await troubleOf(found("")), "it names no node, which is ignored");
    assert.equal(await troubleOf(found("a b c d")), "it names more than 3 nodes, the first of which are taken");
    assert.equal(await troubleOf({ ...found("a b"), fault: "AAAA fn: ETIMEOUT" }), "AAAA fn: ETIMEOUT");
    assert.equal(await troubleOf({ nodes: undefined, validMs: 1000, fault: undefined }), "AAAA fn: ETIMEOUT");
    assert.equal(await troubleOf(found("a b")), undefined);
  });

  it("ends with its signal, and says nothing of an answer that comes too late", async (t) => {
    const { clock, lists, state, stop, loop, events } = await startLoop(t, found("a"));
    state.answer = failed("A fn: ECANCELLED");
    const rung = clock.advance(1000);
    stop.abort();
    await rung;
    await loop;
    assert.deepEqual([lists.length, events, clock.pending], [1, [], 0]);
  });
});

describe("the wait before the next question", () => {
  it("never uses what has expired, unless the shortest interval says so, and never leaves the limits", () => {
    fc.assert(
      fc.property(
        fc.record({
          validMs: fc.option(fc.nat(10_000_000), { nil: undefined }),
          fruitless: fc.integer({ min: 1, max: 10_000 }),
          chance: fc.double({ min: 0, max: 0.999, noNaN: true }),
        }),
        fc.integer({ min: 100, max: 86_400_000 }),
        fc.nat(86_400_000),
        (sample, intervalMinMs, more) => {
          const intervalMaxMs = intervalMinMs + more;
          const waitMs = decideWait(sample, { intervalMinMs, intervalMaxMs });
          assert.ok(waitMs >= intervalMinMs && waitMs <= intervalMaxMs);
          if (sample.validMs !== undefined) assert.ok(waitMs <= Math.max(intervalMinMs, sample.validMs));
        },
      ),
    );
  });

  it("is spread over a fifth, so that replicas do not ask in step", () => {
    const limits = { intervalMinMs: 1000, intervalMaxMs: 60_000 };
    const waits = [0, 0.5, 1].map((chance) => decideWait({ validMs: 10_000, fruitless: 0, chance }, limits));
    assert.deepEqual(waits, [10_000, 9000, 8000]);
  });

  it("is the shortest interval where that is longer than the longest", () => {
    const limits = { intervalMinMs: 120_000, intervalMaxMs: 60_000 };
    assert.equal(decideWait({ validMs: 10_000, fruitless: 0, chance: 0.5 }, limits), 120_000);
  });
});
