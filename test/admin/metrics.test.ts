import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { COUNTER_FAMILIES } from "../../src/admin/metrics/counter-families.js";
import { metricsText } from "../../src/admin/metrics/metrics.js";
import { OPTIONS } from "../../src/config/options.js";
import { AnswerStats } from "../../src/core/answer-stats.js";
import { Counters } from "../../src/core/counters.js";
import { Histogram } from "../../src/core/histogram.js";
import { NodeStats } from "../../src/core/node-stats.js";
import type { RuntimeReading } from "../../src/core/runtime-reading.js";
import type { BalancerSnapshot } from "../../src/core/snapshot.js";
import { parseExposition, sampleValue } from "../support/exposition.js";
import { clusterOf, nodeOf, snapshotOf } from "../support/snapshots.js";

const RUNTIME: RuntimeReading = {
  runtime: "v20.0.0",
  startedSeconds: 1.7e9,
  cpuUserSeconds: 1.5,
  cpuSystemSeconds: 0.25,
  loopActiveSeconds: 2,
  loopIdleSeconds: 8,
  residentBytes: 1e8,
  heapUsedBytes: 1e7,
  heapTotalBytes: 2e7,
  externalBytes: 3e6,
  descriptorsMax: 20_000,
};

function familiesOf(given: Partial<BalancerSnapshot> = {}) {
  return parseExposition(metricsText({ snapshot: snapshotOf(given), runtime: RUNTIME, version: "1.2.3" }));
}

describe("the text for scrapers", () => {
  it("has every counter once, but for retries, which are told by their reasons", () => {
    const fields = COUNTER_FAMILIES.flatMap((family) => family.fields.map(([, field]) => field));
    assert.deepEqual([...fields, "retries"].sort(), Object.keys(new Counters()).sort());
  });

  it("has each counter's own value under its name and label", () => {
    const counters = new Counters();
    const keys = Object.keys(counters) as (keyof Counters)[];
    for (const [index, key] of keys.entries()) counters[key] = 1000 + index;
    const families = familiesOf({ counters });
    for (const { name, label, fields } of COUNTER_FAMILIES) {
      for (const [value, field] of fields) {
        const labels = label === undefined ? {} : { [label]: value };
        assert.equal(sampleValue(families, `${name}_total`, labels), counters[field], field);
      }
    }
  });

  it("calls limits and timeouts as their options are called", () => {
    for (const name of ["fnlb_limits_reached", "fnlb_timeouts"]) {
      const family = COUNTER_FAMILIES.find((candidate) => candidate.name === name);
      assert.ok(family !== undefined && family.fields.length > 4);
      for (const [value] of family.fields) assert.ok(Object.hasOwn(OPTIONS, value), value);
    }
  });

  it("keeps to the conventions of names", () => {
    const families = familiesOf();
    for (const { name, type, help } of families) {
      assert.match(name, /^(?:fnlb|process)_[a-z_]+$/);
      assert.equal(name.endsWith("_total"), type === "counter", name);
      if (type === "histogram") assert.match(name, /_seconds$/);
      assert.doesNotMatch(name, /(?:_ms|_milliseconds|_kb)(?:_|$)/);
      assert.match(help, /^[A-Z1].*\.$/);
    }
    // A gauge must not be called as a counter is without its suffix: in OpenMetrics both are one family.
    const bare = families.map(({ name }) => name.replace(/_total$/, ""));
    assert.equal(new Set(bare).size, bare.length);
  });

  it("says in OpenMetrics what it says in the other format", () => {
    const headTime = new Histogram();
    for (const ms of [0.1, 3, 900, 70_000]) headTime.add(ms);
    const snapshot = snapshotOf({ nodes: [nodeOf({ stats: new NodeStats(new AnswerStats(headTime)) })] });
    const subject = { snapshot, runtime: RUNTIME, version: "1.2.3" };
    const plain = parseExposition(metricsText(subject, "prometheus"));
    const open = parseExposition(metricsText(subject, "openmetrics"), "openmetrics");
    const unfloated = (text: string) => text.replace(/\.0$/, "");
    assert.deepEqual(
      open.map((family) => ({
        ...family,
        name: family.type === "counter" ? `${family.name}_total` : family.name,
        samples: family.samples.map(({ labels, ...sample }) => ({
          ...sample,
          labels: labels.le === undefined ? labels : { ...labels, le: unfloated(labels.le) },
        })),
      })),
      plain.map((family) => ({ ...family, samples: family.samples.map((sample) => ({ ...sample })) })),
    );
    const bounds = open.flatMap(({ samples }) => samples.flatMap(({ labels }) => labels.le ?? []));
    assert.ok(bounds.length > 0 && bounds.every((bound) => bound === "+Inf" || bound.includes(".")));
  });

  it("is read back as it was meant, whatever nodes and clusters are called", () => {
    const name = fc.string({ unit: "grapheme" });
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(name, name), { selector: (pair) => pair.join("\0"), maxLength: 8 }),
        (pairs) => {
          const nodes = pairs.map(([cluster, id], index) => nodeOf({ cluster, id, weight: index }));
          const families = familiesOf({ nodes });
          for (const [weight, [cluster, node]] of pairs.entries()) {
            assert.equal(sampleValue(families, "fnlb_node_weight", { cluster, node }), weight);
          }
        },
      ),
    );
    familiesOf({ nodes: [nodeOf({ id: 'a"\\\n}b{ 1\r' }), nodeOf({ id: "a" })] });
  });

  it("has the times of a node in buckets of seconds that are exact at their bounds", () => {
    const headTime = new Histogram();
    for (const ms of [0.25, 0.2505, 1, 5, 5.001, 60_000, 60_001]) headTime.add(ms);
    const families = familiesOf({ nodes: [nodeOf({ stats: new NodeStats(new AnswerStats(headTime)) })] });
    const below = (le: string) => sampleValue(families, "fnlb_node_head_seconds_bucket", { le });
    assert.deepEqual(["0.00025", "0.0005", "0.001", "0.005", "0.01", "60", "+Inf"].map(below), [1, 2, 3, 4, 5, 6, 7]);
    assert.ok(Math.abs(sampleValue(families, "fnlb_node_head_seconds_sum") - 120.0125015) < 1e-6);
  });

  for (const [state, given] of [
    ["dead", { alive: false }],
    ["suspect", { suspect: true }],
    ["failing", { check: "failing" }],
    ["unchecked", { check: "unknown" }],
    ["ejected", { ejected: true }],
    ["breaker-open", { breaker: "open" }],
    ["draining", { mode: "draining" }],
    ["disabled", { mode: "disabled" }],
    ["no-weight", { weight: 0 }],
  ] as const) {
    it(`shows a node that is ${state}, and that it does not serve`, () => {
      const families = familiesOf({ nodes: [nodeOf(given)] });
      const [{ samples }] = families.filter(({ name }) => name === "fnlb_node_state");
      assert.equal(samples.length, 11);
      assert.deepEqual(
        samples.filter(({ value }) => value !== 0).map(({ labels, value }) => [labels.state, value]),
        [[state, 1]],
      );
    });
  }

  it("shows a node that serves, with a breaker that lets probes pass as well", () => {
    const families = familiesOf({
      nodes: [nodeOf({ id: "a", check: "passing" }), nodeOf({ id: "b", breaker: "half-open" })],
    });
    const isSo = (node: string, state: string) => sampleValue(families, "fnlb_node_state", { node, state });
    assert.deepEqual([isSo("a", "serving"), isSo("b", "serving"), isSo("b", "breaker-half-open")], [1, 1, 1]);
  });

  it("counts the nodes of a cluster and those that serve, where there is none as well", () => {
    const nodes = [nodeOf({ id: "a" }), nodeOf({ id: "b", alive: false }), nodeOf({ id: "c", weight: 0 })];
    const families = familiesOf({ nodes, clusters: [clusterOf(), clusterOf({ name: "emptied" })] });
    const of = (cluster: string) =>
      ["nodes", "serving_nodes"].map((name) => sampleValue(families, `fnlb_cluster_${name}`, { cluster }));
    assert.deepEqual(
      [of(clusterOf().name), of("emptied")],
      [
        [3, 1],
        [0, 0],
      ],
    );
  });

  it("shows limits beside what is used of them, and those that are off as infinite", () => {
    const limits = { ...clusterOf().limits, queueMax: 7, clusterConnectionsMax: 9 };
    const clusters = [clusterOf(), clusterOf({ name: "b", limits, queued: 3, inFlight: 4, isPanic: true })];
    const families = familiesOf({ clusters, connections: 5, limits: { connectionsMax: 6, tunnelsMax: 0 } });
    const of = (name: string, labels = {}) => sampleValue(families, name, labels);
    assert.deepEqual([of("fnlb_connections"), of("fnlb_connections_max")], [5, 6]);
    assert.equal(of("fnlb_tunnels_max"), Number.POSITIVE_INFINITY);
    const ofB = ["in_flight", "in_flight_max", "queued_requests", "queued_requests_max", "panic"];
    assert.deepEqual(
      ofB.map((name) => of(`fnlb_cluster_${name}`, { cluster: "b" })),
      [4, 9, 3, 7, 1],
    );
    assert.equal(of("fnlb_cluster_in_flight_max", { cluster: "default" }), Number.POSITIVE_INFINITY);
  });

  it("says what runs", () => {
    const families = familiesOf();
    const labels = { version: "1.2.3", runtime: "v20.0.0", sockets: "fast" };
    assert.equal(sampleValue(families, "fnlb_build_info", labels), 1);
    assert.equal(sampleValue(families, "process_cpu_seconds_total"), 1.75);
    assert.equal(sampleValue(families, "process_resident_memory_bytes"), 1e8);
    assert.equal(sampleValue(families, "fnlb_event_loop_seconds_total", { state: "idle" }), 8);
  });
});
