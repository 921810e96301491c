import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { HISTORY_DEFAULTS, History, type HistorySample, runHistory } from "../../src/admin/dashboard/history.js";
import { AnswerStats } from "../../src/core/answer-stats.js";
import { ClusterStats } from "../../src/core/cluster-stats.js";
import { Histogram } from "../../src/core/histogram.js";
import { NodeStats } from "../../src/core/node-stats.js";
import { FakeClock } from "../support/fake-clock.js";
import { clusterOf, nodeOf, snapshotOf } from "../support/snapshots.js";

const WALL_MS = Date.UTC(2024, 0, 1);
const INTERVAL_MS = 2000;

/** What a node has done since the beginning. */
interface Done {
  readonly answers?: number;
  readonly failures?: number;
  readonly faults?: number;
  readonly dialsFailed?: number;
  readonly timesMs?: readonly number[];
}

function statsOf({ answers = 0, failures = 0, faults = 0, dialsFailed = 0, timesMs = [] }: Done): NodeStats {
  const headTime = new Histogram();
  for (const ms of timesMs) headTime.add(ms);
  const own = Object.assign(new AnswerStats(headTime), { responses2xx: answers, responses5xx: failures });
  return Object.assign(new NodeStats(own), { faults, dialsFailed });
}

/** Takes one sample after another, two seconds apart, of nodes by their ids. */
function feed(history: History, steps: readonly Readonly<Record<string, Done>>[], first = 0): HistorySample[] {
  return steps.flatMap((step, index) => {
    const nodes = Object.entries(step).map(([id, done]) => nodeOf({ id, stats: statsOf(done), inFlight: 1 }));
    const elapsedMs = (first + index) * INTERVAL_MS;
    const sample = history.add(snapshotOf({ nodes }), { nowMs: elapsedMs, wallMs: WALL_MS + elapsedMs });
    return sample === undefined ? [] : [sample];
  });
}

function nodeIn(history: History, id: string) {
  return history.view("default")?.nodes?.find((node) => node.id === id);
}

describe("the history", () => {
  it("tells rates from what was added, and says nothing of what was there before it looked", () => {
    const history = new History();
    const [first, second] = feed(history, [
      { a: { answers: 1000, failures: 50 } },
      { a: { answers: 1010, failures: 52, faults: 1, dialsFailed: 3 } },
      { a: { answers: 1010, failures: 52, faults: 1, dialsFailed: 3 } },
    ]);
    const { id, rate, errors, inFlight } = first.clusters[0].nodes[0];
    assert.deepEqual({ id, rate, errors, inFlight }, { id: "a", rate: 6, errors: 3, inFlight: 1 });
    assert.equal(second.clusters[0].nodes[0].rate, 0);
    assert.deepEqual(nodeIn(history, "a")?.rate, [6, 0]);
    assert.deepEqual(history.view()?.atMs, [WALL_MS + INTERVAL_MS, WALL_MS + 2 * INTERVAL_MS]);
  });

  it("knows the newest of a cluster and of a node, and nothing of what is not there any more", () => {
    const history = new History();
    assert.equal(history.recent("default"), undefined);
    feed(history, [
      { a: { answers: 10 }, b: {} },
      { a: { answers: 14, failures: 2, timesMs: [7] }, b: {} },
    ]);
    assert.deepEqual(history.recent("default", "b"), { rate: 0, errors: 0, p50Ms: null, p99Ms: null });
    const { rate, errors, p50Ms } = history.recent("default", "a") ?? {};
    assert.deepEqual([rate, errors], [3, 1]);
    assert.ok(p50Ms !== null && p50Ms !== undefined && p50Ms > 6 && p50Ms < 8, `${p50Ms}`);
    assert.deepEqual([history.recent("none"), history.recent("default", "none")], [undefined, undefined]);
    feed(history, [{ b: {} }], 2);
    assert.deepEqual([history.recent("default", "a"), history.recent("default", "b")?.rate], [undefined, 0]);
  });

  it("takes quantiles of the interval alone, and none where nothing was timed", () => {
    const history = new History();
    const slow = Array.from({ length: 1000 }, () => 5000);
    feed(history, [
      { a: { timesMs: slow } },
      { a: { timesMs: [...slow, 10, 10, 10] } },
      { a: { timesMs: [...slow, 10, 10, 10] } },
    ]);
    const [p50, none] = nodeIn(history, "a")?.p50Ms ?? [];
    assert.ok(p50 !== null && p50 > 9 && p50 < 11, `${p50}`);
    assert.equal(none, null);
  });

  it("counts of a cluster what its clients got: requests, and answers of 5xx by nodes or by fnlb itself", () => {
    const history = new History();
    const add = (stats: ClusterStats, nowMs: number) =>
      history.add(snapshotOf({ clusters: [clusterOf({ stats, inFlight: 4 })] }), { nowMs, wallMs: nowMs });
    add(new ClusterStats(), 0);
    const stats = new ClusterStats(Object.assign(new AnswerStats(), { responses5xx: 2 }));
    stats.requests = 20;
    stats.noteProblem("ERR_AT_CAPACITY");
    stats.noteProblem("ERR_BAD_REQUEST");
    const sample = add(stats, INTERVAL_MS);
    assert.deepEqual(
      [sample?.total.rate, sample?.total.errors, sample?.total.inFlight, sample?.clusters[0].rate],
      [10, 1.5, 4, 10],
    );
  });

  it("divides by the time that has passed, not by the time that should have", () => {
    const history = new History();
    const add = (answers: number, nowMs: number) =>
      history.add(snapshotOf({ nodes: [nodeOf({ stats: statsOf({ answers }) })] }), { nowMs, wallMs: nowMs });
    add(0, 0);
    assert.equal(add(100, 10_000)?.clusters[0].nodes[0].rate, 10);
  });

  it("begins anew with a node that left and came back, without a negative rate", () => {
    const history = new History();
    feed(history, [
      { a: { answers: 100 } },
      { a: { answers: 200 } },
      { b: {} },
      { a: { answers: 6 } },
      { a: { answers: 8 } },
    ]);
    assert.deepEqual(nodeIn(history, "a")?.rate, [50, null, 3, 1]);
  });

  it("counts from its first request on what has come since the last sample", () => {
    const history = new History();
    feed(history, [{}, { a: { answers: 10 } }, { a: { answers: 10 }, b: { answers: 4 } }]);
    assert.deepEqual(nodeIn(history, "a")?.rate, [5, 0]);
    assert.deepEqual(nodeIn(history, "b")?.rate, [null, 2]);
  });

  it("says nothing of a node for which there was no place before: it may have been there for long", () => {
    const history = new History({ ...HISTORY_DEFAULTS, nodesMax: 1 });
    const [a, b] = [{ answers: 2 }, { answers: 1000 }];
    feed(history, [{ a, b }, { a, b }, { b }, { b: { answers: 1002 } }]);
    assert.deepEqual(nodeIn(history, "b")?.rate, [null, null, 1]);
  });

  it("keeps so many samples and no more, and forgets a node when its last one is too old", () => {
    const history = new History({ ...HISTORY_DEFAULTS, samplesMax: 3 });
    feed(history, [
      { a: {}, b: {} },
      { a: { answers: 2 }, b: { answers: 4 } },
    ]);
    for (let step = 2; step < 5; step++) {
      feed(history, [{ a: { answers: 2 * step } }], step);
      assert.equal(nodeIn(history, "b") !== undefined, step < 4, `after ${step} samples`);
    }
    const view = history.view("default");
    assert.equal(view?.sequence, 4);
    assert.equal(view?.atMs.length, 3);
    assert.deepEqual(nodeIn(history, "a")?.rate, [1, 1, 1]);
  });

  it("leaves out nodes above its limit", () => {
    const history = new History({ ...HISTORY_DEFAULTS, nodesMax: 2 });
    const step = { a: {}, b: {}, c: {} };
    assert.deepEqual(
      feed(history, [step, step])[0].clusters[0].nodes.map(({ id }) => id),
      ["a", "b"],
    );
  });

  it("knows no cluster that there is not", () => {
    const history = new History();
    feed(history, [{ a: {} }]);
    assert.equal(history.view("other"), undefined);
  });

  it("says the same by samples as by the view, whatever nodes come and go", () => {
    const nodes = fc.uniqueArray(fc.constantFrom("a", "b", "c"));
    fc.assert(
      fc.property(
        fc.array(nodes, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 6 }),
        (steps, samplesMax) => {
          const history = new History({ ...HISTORY_DEFAULTS, samplesMax });
          const samples = feed(
            history,
            steps.map((ids, index) => Object.fromEntries(ids.map((id) => [id, { answers: index * id.charCodeAt(0) }]))),
          ).slice(-samplesMax);
          for (const { id, rate, inFlight } of history.view("default")?.nodes ?? []) {
            const points = samples.map(({ clusters }) => clusters[0].nodes.find((node) => node.id === id));
            assert.deepEqual(
              inFlight,
              points.map((point) => point?.inFlight ?? null),
            );
            assert.deepEqual(
              rate,
              points.map((point) => point?.rate ?? null),
            );
          }
        },
      ),
    );
  });
});

describe("the loop of the history", () => {
  it("takes a sample each interval, and ends with its signal", async () => {
    const clock = new FakeClock();
    const end = new AbortController();
    const samples: HistorySample[] = [];
    const dependencies = {
      clock,
      history: new History(),
      snapshot: () => snapshotOf(),
      onSample: (sample: HistorySample) => samples.push(sample),
    };
    const loop = runHistory(dependencies, { intervalMs: INTERVAL_MS }, end.signal);
    await clock.advance(3 * INTERVAL_MS);
    assert.deepEqual(
      samples.map(({ sequence }) => sequence),
      [1, 2, 3],
    );
    end.abort();
    await loop;
    assert.equal(clock.pending, 0);
  });
});
