import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CircuitBreaker } from "../../src/core/breaker.js";
import { type ClusterDependencies, staticCluster } from "../../src/core/cluster.js";
import { LoadWait } from "../../src/core/load-wait.js";
import type { Node } from "../../src/core/node.js";
import { OutlierDetector } from "../../src/core/outlier.js";
import { Outcome } from "../../src/core/policies/policy.js";
import type { PolicyOptions } from "../../src/core/policies/table.js";
import { ATTEMPTS_MAX } from "../../src/core/preview.js";
import { FakeClock } from "../support/fake-clock.js";
import { policyNamed } from "./every-policy.js";
import { addresses, exchangeOf, nodesOf } from "./small-cluster.js";

interface Setup {
  readonly count?: number;
  readonly policy?: Partial<PolicyOptions>;
  readonly clock?: FakeClock;
  readonly parts?: Partial<ClusterDependencies>;
  readonly slowStartMs?: number;
}

/** A cluster on a ring, and what is seen of one key: node by node from its home on. */
function seen({ count = 3, policy = {}, clock = new FakeClock(), parts = {}, slowStartMs = 0 }: Setup = {}) {
  const nodes = nodesOf(addresses(count));
  const random = () => assert.fail("a preview asks no chance");
  const cluster = staticCluster(
    { policy: policyNamed("ring-hash", policy), now: () => clock.now(), random, ...parts },
    { nodeConnectionsMax: 100, slowStartMs },
    nodes,
  );
  const preview = () => cluster.preview(exchangeOf("/f"));
  const order = preview().nodes.map(({ node }) => node);
  return {
    cluster,
    nodes,
    order,
    preview,
    reasons: () => preview().nodes.map(({ reasons }) => reasons),
    attempts: () => preview().attempts.map((node) => order.indexOf(node)),
  };
}

describe("a preview of an exchange", () => {
  it("tries the nodes in the order of the key", () => {
    const { attempts, reasons, preview } = seen();
    assert.deepEqual(attempts(), [0, 1, 2]);
    assert.deepEqual(reasons(), [[], [], []]);
    assert.deepEqual([preview().isFixed, preview().stays, preview().refusal], [true, false, "none"]);
  });

  it("passes a home over that carries more than its bound, which others below it take", () => {
    const { order, attempts, reasons } = seen();
    order[0].inFlight = 30;
    assert.deepEqual(reasons(), [["over-load"], [], []]);
    assert.deepEqual(attempts(), [1, 2, 0]);
  });

  it("goes to the least loaded of those who share a hot key", () => {
    const { order, attempts, reasons } = seen({ policy: { spread: 2, balanceFactor: 3 } });
    assert.deepEqual(attempts(), [0, 1, 2]);
    order[0].inFlight = 9;
    assert.deepEqual(attempts(), [1, 2, 0]);
    assert.deepEqual(reasons(), [[], [], []], "nothing speaks against the home");
  });

  it("comes to suspect nodes behind all others, and never to dead ones", () => {
    const { order, attempts, reasons } = seen();
    order[0].suspect = true;
    order[1].alive = false;
    assert.deepEqual(reasons(), [["suspect"], ["dead"], []]);
    assert.deepEqual(attempts(), [2, 0]);
  });

  it("does not hold an ejection against nodes in a panic", () => {
    const clock = new FakeClock();
    const outlier = new OutlierDetector({ clock });
    const { order, attempts, reasons, preview } = seen({ clock, parts: { outlier } });
    order[0].ejected = true;
    outlier.noteHealth();
    assert.deepEqual(reasons(), [["ejected"], [], []]);
    assert.deepEqual(attempts(), [1, 2, 0]);
    order[1].ejected = true;
    outlier.noteHealth();
    assert.deepEqual(reasons(), [[], [], []]);
    assert.deepEqual(attempts(), [0, 1, 2]);
    assert.deepEqual(preview().nodes[0].states, ["ejected"]);
  });

  it("lets a probe through that is due, and takes nobody's place for it", () => {
    const clock = new FakeClock();
    const breaker = new CircuitBreaker({ clock, random: () => 0.5 }, { consecutiveFaults: 1, openMs: 1000 });
    const { order, attempts, reasons, preview, cluster } = seen({ clock, parts: { breaker } });
    breaker.observe(order[0], breaker.noteAcquired(order[0]), Outcome.FAILED, 0);
    assert.deepEqual(reasons(), [["breaker-open"], [], []]);
    assert.deepEqual(attempts(), [1, 2]);
    clock.pass(1000);
    for (let turn = 0; turn < 3; turn++) assert.deepEqual(attempts(), [0, 1, 2]);
    assert.deepEqual(breaker.stateOf(order[0])?.kind, "open", "nobody has been its probe");
    const exchange = exchangeOf("/f");
    assert.equal(cluster.acquire(exchange), order[0]);
    assert.deepEqual(reasons()[0], ["breaker-half-open"]);
    assert.deepEqual(preview().nodes[0].states, ["serving", "breaker-half-open"]);
  });

  it("says which keys a young node does not have back yet", () => {
    const clock = new FakeClock();
    const { order, attempts, reasons, cluster } = seen({ clock, slowStartMs: 1000 });
    cluster.noteReturn(order[0]);
    assert.deepEqual(reasons(), [["slow-start"], [], []]);
    assert.deepEqual(attempts()[0], 1);
    clock.pass(1000);
    assert.deepEqual(reasons(), [[], [], []]);
    assert.deepEqual(attempts(), [0, 1, 2]);
  });

  it("does not foretell what chance decides where calls wait", () => {
    const clock = new FakeClock();
    const random = () => assert.fail("a preview asks no chance");
    const loadWait = new LoadWait({ now: () => clock.now(), random });
    const { order, attempts, reasons, preview } = seen({ clock, parts: { loadWait } });
    const { keyHash } = exchangeOf("/f");
    loadWait.note(order[1], keyHash, 3000);
    assert.deepEqual(reasons(), [[], ["load-wait"], []]);
    assert.deepEqual(attempts(), [0], "who comes behind the home is left to chance");
    assert.equal(preview().isFixed, true);
    loadWait.note(order[0], keyHash, 3000);
    assert.deepEqual([attempts(), preview().isFixed], [[], false]);
  });

  it("has those without a weight behind the others, and nobody where there is nobody", () => {
    const { order, nodes, cluster, preview } = seen();
    order[0].weight = 0;
    cluster.update([...nodes]);
    const last = preview().nodes.at(-1);
    assert.deepEqual([last?.node, last?.reasons], [order[0], ["no-weight"]]);
    assert.deepEqual(preview().attempts, [order[1], order[2]]);
    cluster.update([]);
    assert.deepEqual([preview().nodes, preview().attempts, preview().refusal], [[], [], "empty"]);
  });

  it("ends where nobody would read on", () => {
    const { preview } = seen({ count: ATTEMPTS_MAX + 8 });
    assert.equal(preview().nodes.length, ATTEMPTS_MAX + 8);
    assert.equal(preview().attempts.length, ATTEMPTS_MAX);
  });

  it("says what the cluster says when it has no place", () => {
    const total = { inFlight: 0 };
    const nodes: readonly Node[] = nodesOf(addresses(2));
    const cluster = staticCluster(
      { policy: policyNamed("random"), now: () => 0, random: () => 0, total },
      { nodeConnectionsMax: 10, clusterConnectionsMax: 1, slowStartMs: 0 },
      nodes,
    );
    assert.equal(cluster.preview(exchangeOf("/f")).refusal, "none");
    cluster.acquire(exchangeOf("/g"));
    assert.equal(cluster.preview(exchangeOf("/f")).refusal, "full");
  });
});
