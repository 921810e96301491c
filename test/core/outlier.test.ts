import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createNode } from "../../src/core/node.js";
import { ejectedNodesMax, isPanic, OutlierDetector, type OutlierOptions } from "../../src/core/outlier.js";
import { Outcome } from "../../src/core/policies/policy.js";
import { FakeClock } from "../support/fake-clock.js";
import { addresses, nodesOf } from "./small-cluster.js";

/** A detector over `count` nodes whose every word is kept. */
function detectorOf(count: number, options: OutlierOptions = {}) {
  const clock = new FakeClock();
  const nodes = nodesOf(addresses(count));
  const events: string[] = [];
  const detector = new OutlierDetector(
    {
      clock,
      onEjected: (node, reason, ejectedMs) => events.push(`${node.index} out for ${ejectedMs}: ${reason}`),
      onReturned: (node) => events.push(`${node.index} back`),
      onPanic: (isOn) => events.push(isOn ? "panic" : "calm"),
    },
    options,
  );
  detector.update(nodes);
  const answer = (index: number, status: number, times = 1) => {
    for (let n = 0; n < times; n++) detector.observe(nodes[index], Outcome.ANSWERED, 0, status);
  };
  /** Time passes as it does in a balancer: with the loop. */
  const pass = (ms: number) => {
    const untilMs = clock.now() + ms;
    while (clock.now() < untilMs) {
      clock.pass(Math.min(250, untilMs - clock.now()));
      detector.advance();
    }
  };
  const out = () => nodes.filter((node) => node.ejected).map((node) => node.index);
  return { clock, nodes, detector, events, answer, pass, out };
}

/** Only the faults in a row count. */
const IN_A_ROW = { faultShareMax: 0 } as const;
/** Only the share counts. */
const BY_SHARE = { consecutiveFaults: 0 } as const;

describe("outlier detection, faults in a row", () => {
  it("ejects a node at its fifth fault in a row, and says so once", () => {
    const { answer, out, events } = detectorOf(3);
    answer(1, 500, 4);
    assert.deepEqual(out(), []);
    answer(1, 503);
    assert.deepEqual(out(), [1]);
    answer(1, 500, 10);
    assert.deepEqual(events, ["1 out for 30000: consecutive-faults"]);
  });

  it("begins anew at every good answer, a 404 among them", () => {
    for (const status of [200, 304, 404, 429, 499]) {
      const { answer, out } = detectorOf(3);
      for (let n = 0; n < 8; n++) {
        answer(0, 500, 4);
        answer(0, status);
      }
      assert.deepEqual(out(), [], String(status));
    }
  });

  it("counts every 5xx, a reset or timeout, and a failed dial", () => {
    const { nodes, detector, out } = detectorOf(3);
    detector.observe(nodes[2], Outcome.ANSWERED, 1, 500);
    detector.observe(nodes[2], Outcome.ANSWERED, 1, 599);
    detector.observe(nodes[2], Outcome.FAILED, 1);
    // Its head was fine, its body was not complete.
    detector.observe(nodes[2], Outcome.FAILED, 1, 200);
    assert.deepEqual(out(), []);
    detector.noteDialFailed(nodes[2]);
    assert.deepEqual(out(), [2]);
  });

  it("hears neither what was never sent nor a client that left: they are no faults and end no row of them", () => {
    const { nodes, detector, answer, out } = detectorOf(3);
    answer(0, 500, 4);
    for (let n = 0; n < 20; n++) {
      detector.observe(nodes[0], Outcome.NONE, 0);
      detector.observe(nodes[0], Outcome.LEFT, 60_000);
    }
    assert.deepEqual(out(), []);
    answer(0, 500);
    assert.deepEqual(out(), [0]);
  });

  it("counts one of the dials that fail together", () => {
    const { nodes, detector, out } = detectorOf(3, { consecutiveFaults: 2 });
    detector.noteDialFailed(nodes[0]);
    nodes[0].alive = false;
    for (let n = 0; n < 20; n++) detector.noteDialFailed(nodes[0]);
    nodes[0].alive = true;
    detector.advance();
    assert.deepEqual(out(), []);
    detector.noteDialFailed(nodes[0]);
    assert.deepEqual(out(), [0], "it died twice without an answer between");
  });

  it("asks whoever knows better which statuses are faults", () => {
    const { answer, out } = detectorOf(3, { isFault: (status) => status === 418 });
    answer(0, 500, 20);
    answer(1, 418, 5);
    assert.deepEqual(out(), [1]);
  });

  it("can be turned off", () => {
    const { nodes, detector, out } = detectorOf(3, { consecutiveFaults: 0, faultShareMax: 0 });
    for (let n = 0; n < 200; n++) detector.observe(nodes[0], Outcome.FAILED, 1);
    assert.deepEqual(out(), []);
  });
});

describe("outlier detection, share of faults", () => {
  it("ejects a node at half of fifty answers, and not with forty-nine", () => {
    const { answer, out, events } = detectorOf(3, BY_SHARE);
    answer(1, 200, 24);
    answer(1, 500, 25);
    assert.deepEqual(out(), [], "49 answers");
    answer(1, 500);
    assert.deepEqual(events, ["1 out for 30000: fault-share"]);
  });

  it("stays calm just below it", () => {
    const { answer, pass, out } = detectorOf(3, BY_SHARE);
    answer(1, 200, 51);
    answer(1, 500, 49);
    pass(500);
    assert.deepEqual(out(), []);
  });

  it("sees a share that a good answer has made count, and one that good answers have grown old for", () => {
    const volume = detectorOf(3, BY_SHARE);
    volume.answer(0, 500, 49);
    volume.answer(0, 200);
    volume.pass(250);
    assert.deepEqual(volume.out(), [0]);

    const age = detectorOf(3, BY_SHARE);
    age.answer(0, 200, 200);
    age.pass(5000);
    age.answer(0, 500, 60);
    assert.deepEqual(age.out(), []);
    age.pass(5000);
    assert.deepEqual(age.out(), [0]);
  });

  it("forgets what is older than its window", () => {
    const { answer, pass, out } = detectorOf(3, BY_SHARE);
    answer(0, 500, 49);
    pass(10_000);
    answer(0, 500, 49);
    assert.deepEqual(out(), []);
  });

  it("forgets everything when the process was frozen for longer than the window", () => {
    const { answer, clock, detector, out } = detectorOf(3, BY_SHARE);
    answer(0, 500, 49);
    clock.pass(3_600_000);
    answer(0, 500, 49);
    detector.advance();
    assert.deepEqual(out(), []);
  });

  it("ejects with a share of 1 only who does nothing else", () => {
    const { answer, out } = detectorOf(3, { ...BY_SHARE, faultShareMax: 1 });
    answer(0, 200);
    answer(0, 500, 200);
    answer(1, 500, 50);
    assert.deepEqual(out(), [1]);
  });
});

describe("outlier detection, the way back", () => {
  it("brings a node back when its time is over, with its counts at zero", () => {
    const { answer, pass, out, events } = detectorOf(3);
    answer(0, 500, 5);
    pass(29_999);
    assert.deepEqual(out(), [0]);
    pass(1);
    assert.deepEqual(out(), []);
    answer(0, 500, 4);
    assert.deepEqual(out(), []);
    assert.deepEqual(events, ["0 out for 30000: consecutive-faults", "0 back"]);
  });

  it("keeps it out longer from time to time while it does not get better, up to a limit", () => {
    const { answer, pass, events } = detectorOf(3, { ejectionMaxMs: 70_000 });
    for (const expectedMs of [30_000, 60_000, 70_000, 70_000]) {
      answer(0, 500, 5);
      assert.equal(events.at(-1), `0 out for ${expectedMs}: consecutive-faults`);
      pass(expectedMs);
      assert.equal(events.at(-1), "0 back");
    }
  });

  it("forgets one ejection for each period that the node stays in", () => {
    const { answer, pass, events } = detectorOf(3);
    for (let n = 1; n <= 3; n++) {
      answer(0, 500, 5);
      pass(30_000 * n);
    }
    pass(30_000 * 2);
    answer(0, 500, 5);
    assert.equal(events.at(-1), "0 out for 60000: consecutive-faults");
    pass(60_000 + 30_000 * 9);
    answer(0, 500, 5);
    assert.equal(events.at(-1), "0 out for 30000: consecutive-faults");
  });

  it("has forgotten the window as well when it was out for less than that", () => {
    const { answer, pass, out } = detectorOf(3, { ...BY_SHARE, ejectionMs: 1000 });
    answer(0, 500, 50);
    pass(1000);
    assert.deepEqual(out(), []);
    answer(0, 500, 49);
    assert.deepEqual(out(), []);
  });

  it("does not hear what ends while the node is out", () => {
    const { answer, pass, out } = detectorOf(3);
    answer(0, 500, 5);
    answer(0, 500, 100);
    pass(30_000);
    answer(0, 500, 4);
    assert.deepEqual(out(), []);
  });

  it("does not eject it again for requests that hung in it before", () => {
    const { nodes, detector, answer, pass, out } = detectorOf(3);
    answer(0, 500, 5);
    pass(31_000);
    for (let n = 0; n < 20; n++) detector.observe(nodes[0], Outcome.FAILED, 60_000);
    assert.deepEqual(out(), []);
    for (let n = 0; n < 5; n++) detector.observe(nodes[0], Outcome.FAILED, 900);
    assert.deepEqual(out(), [0]);
  });
});

describe("outlier detection, how many may be out", () => {
  it("is the share in whole nodes, one of two at least, and never the only one", () => {
    const table = [0, 1, 2, 3, 4, 5, 10, 100].map((serving) => ejectedNodesMax(serving, 0.5));
    assert.deepEqual(table, [0, 0, 1, 1, 2, 2, 5, 50]);
    assert.deepEqual(
      [1, 2, 10, 100].map((serving) => ejectedNodesMax(serving, 0.29)),
      [0, 1, 2, 29],
    );
    assert.equal(ejectedNodesMax(10, 0.01), 1);
    assert.equal(ejectedNodesMax(10, 0), 0);
    assert.deepEqual([ejectedNodesMax(1, 1), ejectedNodesMax(3, 1)], [0, 3]);
  });

  it("never ejects the only node, nor the last one that is alive", () => {
    const alone = detectorOf(1);
    alone.answer(0, 500, 100);
    assert.deepEqual(alone.out(), []);

    const { nodes, answer, out } = detectorOf(3);
    nodes[1].alive = false;
    nodes[2].alive = false;
    answer(0, 500, 100);
    assert.deepEqual(out(), []);
  });

  it("keeps one of two nodes in when both fail", () => {
    const { answer, out } = detectorOf(2);
    answer(0, 500, 100);
    answer(1, 500, 100);
    assert.deepEqual(out(), [0]);
  });

  it("says how often it spared a node, once each time, and ejects it when there is room", () => {
    const { answer, pass, out, detector, events } = detectorOf(3);
    answer(0, 500, 5);
    answer(1, 500, 50);
    pass(10_000);
    assert.deepEqual(out(), [0]);
    assert.equal(detector.ejectionsSpared, 1);
    pass(20_000);
    assert.deepEqual(out(), [1]);
    assert.deepEqual(events.slice(1), ["0 back", "1 out for 30000: consecutive-faults"]);
  });

  it("spares nobody any longer who has recovered in the meantime", () => {
    const { answer, pass, out } = detectorOf(3, IN_A_ROW);
    answer(0, 500, 5);
    answer(1, 500, 50);
    answer(1, 200);
    pass(60_000);
    assert.deepEqual(out(), []);
  });

  it("does not count nodes that serve nobody: draining, disabled, dead, or of no weight", () => {
    const { nodes, answer, out } = detectorOf(5);
    nodes[1].mode = "draining";
    nodes[2].mode = "disabled";
    nodes[3].weight = 0;
    nodes[4].alive = false;
    answer(0, 500, 50);
    assert.deepEqual(out(), []);
    for (const index of [1, 2, 3, 4]) answer(index, 500, 50);
    assert.deepEqual(out(), []);
  });
});

describe("panic", () => {
  const health = (...states: string[]) =>
    states.map((state, index) => {
      const node = createNode(`n${index}:80`, index, { kind: "tcp", host: "n", port: 80, basePath: "" }, 1);
      if (state === "dead") node.alive = false;
      else if (state === "suspect") node.suspect = true;
      else if (state === "ejected") node.ejected = true;
      else if (state === "draining") node.mode = "draining";
      else if (state === "weightless") node.weight = 0;
      return node;
    });

  it("is when fewer than the share of the active nodes are healthy", () => {
    assert.equal(isPanic(health("ok", "ejected"), 0.5), false);
    assert.equal(isPanic(health("ok", "ejected", "dead"), 0.5), true);
    assert.equal(isPanic(health("ok", "suspect", "ejected"), 0.5), true);
    assert.equal(isPanic(health("ok", "ok", "dead"), 0.7), true);
    assert.equal(isPanic(health("ejected", "dead"), 0), false);
    assert.equal(isPanic([], 1), false);
  });

  it("asks only for nodes that the operator wants to serve", () => {
    assert.equal(isPanic(health("ok", "draining", "draining", "weightless"), 1), false);
    assert.equal(isPanic(health("ejected", "draining"), 0.5), true);
  });

  it("begins and ends with the states, each said once", () => {
    const { nodes, detector, answer, events } = detectorOf(3);
    answer(0, 500, 5);
    assert.equal(detector.isPanic, false);
    nodes[1].alive = false;
    detector.noteHealth();
    detector.noteHealth();
    assert.equal(detector.isPanic, true);
    nodes[1].alive = true;
    detector.noteHealth();
    assert.equal(detector.isPanic, false);
    assert.deepEqual(events.slice(1), ["panic", "calm"]);
  });

  it("is found by the loop where nobody has told of a change", () => {
    const { nodes, detector, pass } = detectorOf(2);
    nodes[0].suspect = true;
    nodes[1].suspect = true;
    pass(250);
    assert.equal(detector.isPanic, true);
  });

  it("never comes of ejection alone, at the defaults", () => {
    for (let count = 1; count <= 12; count++) {
      const { detector, answer, pass } = detectorOf(count);
      for (let index = 0; index < count; index++) answer(index, 500, 100);
      pass(250);
      assert.equal(detector.isPanic, false, `${count} nodes`);
    }
  });
});

describe("outlier detection and the membership", () => {
  it("keeps out who stays, and forgets who leaves", () => {
    const { nodes, detector, answer, pass, events } = detectorOf(4);
    answer(0, 500, 5);
    answer(1, 500, 5);
    detector.update(nodes.slice(1));
    assert.deepEqual([nodes[0].ejected, nodes[1].ejected], [false, true]);
    detector.update(nodes);
    assert.deepEqual([nodes[0].ejected, nodes[1].ejected], [false, true]);
    pass(30_000);
    assert.deepEqual(events.slice(2), ["1 back"]);
  });

  it("keeps a node out whose object is a new one with the same id", () => {
    const { nodes, detector, answer, pass } = detectorOf(3);
    answer(0, 500, 5);
    const again = createNode(nodes[0].id, 0, nodes[0].address, 1);
    detector.update([again, nodes[1], nodes[2]]);
    assert.equal(again.ejected, true);
    pass(30_000);
    assert.equal(again.ejected, false);
  });

  it("does not blame a node for one that had its place", () => {
    const { nodes, detector } = detectorOf(3);
    const heir = createNode("10.9.9.9:8080", 0, nodes[0].address, 1);
    detector.update([heir, nodes[1], nodes[2]]);
    for (let n = 0; n < 20; n++) {
      detector.observe(nodes[0], Outcome.FAILED, 1);
      detector.noteDialFailed(nodes[0]);
    }
    assert.deepEqual([heir.ejected, nodes[0].ejected], [false, false]);
  });
});

describe("outlier options", () => {
  it("are refused out of range, by name", () => {
    const refused: readonly [OutlierOptions, RegExp][] = [
      [{ consecutiveFaults: -1 }, /^option "consecutiveFaults" must be a number from 0 upwards, got -1$/],
      [{ faultShareMax: 1.1 }, /^option "faultShareMax" must be a number from 0 to 1, got 1\.1$/],
      [{ volumeMin: 0 }, /^option "volumeMin" /],
      [{ windowMs: 0 }, /^option "windowMs" /],
      [{ ejectionMs: 0 }, /^option "ejectionMs" /],
      [
        { ejectionMs: 1000, ejectionMaxMs: 999 },
        /^option "ejectionMaxMs" must be a number from 1000 upwards, got 999$/,
      ],
      [{ ejectedShareMax: Number.NaN }, /^option "ejectedShareMax" /],
      [{ panicShare: 2 }, /^option "panicShare" /],
    ];
    for (const [options, message] of refused) {
      assert.throws(() => new OutlierDetector({ clock: new FakeClock() }, options), { code: "ERR_OPTION", message });
    }
  });
});

describe("a node that an operator resets", () => {
  it("is back at once, without what spoke against it, and its next ejection is a first one", () => {
    const { answer, out, events, detector, nodes, pass } = detectorOf(3, IN_A_ROW);
    for (let ejection = 0; ejection < 2; ejection++) {
      answer(1, 500, 5);
      pass(31_000 * ejection);
      pass(30_000);
    }
    answer(1, 500, 5);
    assert.deepEqual(out(), [1]);
    assert.equal(detector.reset(nodes[1]), true);
    assert.deepEqual(out(), []);
    assert.equal(events.at(-1), "1 back");
    answer(1, 500, 4);
    assert.deepEqual(out(), []);
    answer(1, 500);
    assert.equal(events.at(-1), "1 out for 30000: consecutive-faults");
  });

  it("was not out: its faults are forgotten, and nobody is told anything", () => {
    const { answer, out, events, detector, nodes } = detectorOf(3, IN_A_ROW);
    answer(1, 500, 4);
    assert.equal(detector.reset(nodes[1]), false);
    answer(1, 500, 4);
    assert.deepEqual([out(), events], [[], []]);
    assert.equal(detector.reset(createNode("other:80", 1, nodes[1].address, 1)), false);
  });

  it("is not judged again by what was sent to it before", () => {
    const { answer, out, detector, nodes, clock } = detectorOf(3, IN_A_ROW);
    answer(1, 500, 5);
    clock.pass(1000);
    detector.reset(nodes[1]);
    clock.pass(500);
    for (let n = 0; n < 9; n++) detector.observe(nodes[1], Outcome.FAILED, 700);
    assert.deepEqual(out(), []);
  });

  it("ends a panic that its ejection began", () => {
    const { answer, events, detector, nodes } = detectorOf(2, { ...IN_A_ROW, panicShare: 0.6 });
    answer(1, 500, 5);
    assert.equal(events.at(-1), "panic");
    detector.reset(nodes[1]);
    assert.deepEqual(events.slice(-2), ["1 back", "calm"]);
  });
});
