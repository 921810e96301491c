import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { p2cEwma } from "../../src/core/policies/p2c-ewma.js";
import { Outcome } from "../../src/core/policies/policy.js";
import { seeded } from "../support/seeded-random.js";
import { addresses, exchangeOf, nodesOf, untried } from "./small-cluster.js";

const ANYBODY = () => true;

/** A cluster that is asked every millisecond; node `n` answers after `latencyMs(n)`. */
function simulate(latencies: readonly number[], weights: readonly number[] = latencies.map(() => 1)) {
  let nowMs = 0;
  const ids = addresses(latencies.length);
  const nodes = nodesOf(ids, (id) => weights[ids.indexOf(id)]);
  const policy = p2cEwma({ random: seeded(7), now: () => nowMs });
  policy.update(nodes);
  const latencyOf = [...latencies];
  let running: { readonly index: number; readonly startedMs: number; readonly endsMs: number }[] = [];
  return {
    nodes,
    policy,
    latencyOf,
    /** Runs for so long with `rate` exchanges a millisecond and counts what each node got. */
    run(ms: number, rate = 1, eligible: (index: number) => boolean = ANYBODY): number[] {
      const counts = nodes.map(() => 0);
      for (const untilMs = nowMs + ms; nowMs < untilMs; nowMs++) {
        for (const { index, startedMs, endsMs } of running) {
          if (endsMs > nowMs) continue;
          nodes[index].inFlight--;
          policy.observe?.(nodes[index], Outcome.ANSWERED, endsMs - startedMs);
        }
        running = running.filter(({ endsMs }) => endsMs > nowMs);
        for (let turn = 0; turn < rate; turn++) {
          const { index } = policy.pick(exchangeOf("/"), (node) => eligible(node.index))!;
          counts[index]++;
          nodes[index].inFlight++;
          running.push({ index, startedMs: nowMs, endsMs: nowMs + latencyOf[index] });
        }
      }
      return counts;
    },
  };
}

describe("p2c ewma", () => {
  it("keeps away from a slow node", () => {
    const { run } = simulate([10, 10, 10, 500]);
    run(2000);
    const counts = run(8000);
    assert.ok(counts[3] < 80, counts.join(" "));
    for (const index of [0, 1, 2]) assert.ok(counts[index] > 2000, counts.join(" "));
  });

  it("gives equals equal shares", () => {
    const counts = simulate([10, 10, 10, 10]).run(20_000);
    for (const count of counts) assert.ok(Math.abs(count - 5000) < 500, counts.join(" "));
  });

  it("shares by weight, with much and with little to do", () => {
    for (const [ms, rate, latency] of [
      [20_000, 1, 0.5],
      [5_000, 4, 20],
    ]) {
      const counts = simulate([latency, latency, latency], [1, 2, 3]).run(ms, rate);
      const sum = ms * rate;
      for (const index of [0, 1, 2]) {
        const fair = (sum * (index + 1)) / 6;
        assert.ok(Math.abs(counts[index] - fair) < fair * 0.15, `${counts.join(" ")} at ${rate} a millisecond`);
      }
    }
  });

  it("asks a node that was slow again after a while, and comes back to it when it has recovered", () => {
    const { run, latencyOf } = simulate([10, 10, 1000]);
    run(2000);
    assert.ok(run(5000)[2] < 20);
    latencyOf[2] = 10;
    run(60_000);
    const counts = run(10_000);
    assert.ok(counts[2] > 2000, counts.join(" "));
  });

  it("does not flood a slow node when it asks again", () => {
    const { run, nodes } = simulate([10, 10, 1000]);
    let most = 0;
    run(2000);
    for (let ms = 0; ms < 100_000; ms += 10) {
      run(10, 2);
      most = Math.max(most, nodes[2].inFlight);
    }
    assert.ok(most < 60, `${most}`);
  });

  it("starves nobody over time, whatever the latencies", () => {
    const { run } = simulate([1, 2, 5, 2000]);
    run(5000);
    for (const count of run(120_000)) assert.ok(count > 0);
  });

  it("holds a failure against a node, however quick it was", () => {
    let nowMs = 0;
    const nodes = nodesOf(addresses(2));
    const policy = p2cEwma({ random: seeded(3), now: () => nowMs });
    policy.update(nodes);
    let failures = 0;
    for (let turn = 0; turn < 2000; turn++) {
      nowMs++;
      const node = policy.pick(exchangeOf("/"), ANYBODY)!;
      if (node === nodes[0]) failures++;
      if (node === nodes[0]) policy.observe?.(node, Outcome.FAILED, 0.1);
      else policy.observe?.(node, Outcome.ANSWERED, 20);
    }
    assert.ok(failures < 20, `${failures}`);
  });

  it("counts the time after which a client gave up, when it is more than what was known", () => {
    let nowMs = 0;
    const nodes = nodesOf(addresses(2));
    const policy = p2cEwma({ random: seeded(4), now: () => nowMs });
    policy.update(nodes);
    for (const node of nodes) policy.observe?.(node, Outcome.ANSWERED, 10);
    policy.observe?.(nodes[0], Outcome.LEFT, 5000);
    policy.observe?.(nodes[1], Outcome.LEFT, 1);
    policy.observe?.(nodes[1], Outcome.NONE, 9999);
    nowMs++;
    for (let turn = 0; turn < 50; turn++) assert.equal(policy.pick(exchangeOf("/"), ANYBODY), nodes[1]);
  });

  it("does not give a new node everything before its first response", () => {
    const { run, nodes, policy } = simulate([10, 10, 10]);
    run(1000);
    const joined = [...nodes, nodesOf(addresses(4))[3]];
    policy.update(joined);
    let picks = 0;
    for (let turn = 0; turn < 200; turn++) {
      const node = policy.pick(exchangeOf("/"), ANYBODY)!;
      node.inFlight++;
      if (node === joined[3]) picks++;
    }
    assert.ok(picks < 90, `${picks}`);
  });

  it("O3, O6: never picks a node of weight 0 or one that was removed", () => {
    const { run, nodes, policy } = simulate([1, 1, 1], [0, 1, 1]);
    assert.equal(run(1000)[0], 0);
    policy.update(nodes.slice(0, 2));
    policy.observe?.(nodes[2], Outcome.ANSWERED, 1);
    for (let turn = 0; turn < 50; turn++) assert.equal(policy.pick(exchangeOf("/"), ANYBODY), nodes[1]);
  });

  it("O5: keeps what it knows of nodes that stay", () => {
    const { run, nodes, policy } = simulate([10, 10, 1000]);
    run(3000);
    policy.update(nodesOf(addresses(3)));
    policy.update(nodes);
    assert.ok(run(2000)[2] < 20);
  });

  it("goes to nodes that were not tried yet until there is none", () => {
    const { policy } = simulate([1, 1, 1]);
    const exchange = exchangeOf("/");
    for (let turn = 0; turn < 3; turn++) exchange.tried.add(policy.pick(exchange, untried)!.index);
    assert.equal(policy.pick(exchange, untried), undefined);
  });

  it("refuses a decay that is no time", () => {
    for (const decayMs of [0, -1, Number.NaN]) {
      assert.throws(() => p2cEwma({ random: Math.random, now: () => 0, decayMs }), { code: "ERR_OPTION" });
    }
  });
});
