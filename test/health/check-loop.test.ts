import assert from "node:assert/strict";
import { before, describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import { sleep } from "../../src/core/clock.js";
import { createNode, type Node } from "../../src/core/node.js";
import type { Dial } from "../../src/core/stream.js";
import type { CheckResult } from "../../src/health/check-answer.js";
import { type CheckLoopOptions, runCheckLoop } from "../../src/health/check-loop.js";
import { type Check, httpCheck } from "../../src/health/http-check.js";
import { openSockets } from "../../src/system/sockets.js";
import { eventually, FakeClock } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { startRawOrigin } from "../support/raw-origin.js";
import { WatchedDial } from "../support/watched-dial.js";

const DEFAULTS: CheckLoopOptions = { intervalMs: 3000, healthyThreshold: 1, unhealthyThreshold: 2 };

const PASSED: CheckResult = { passed: true };
const failed = (reason: string): CheckResult => ({ passed: false, reason });

interface LoopSettings extends Partial<CheckLoopOptions> {
  readonly clock?: FakeClock;
  readonly random?: () => number;
  readonly node?: Node;
}

/** A running loop and what it has told. */
function startLoop(check: Check, settings: LoopSettings = {}) {
  const { clock = new FakeClock(), random = () => 0.5, node = nodeOn(80), ...options } = settings;
  const stop = new AbortController();
  const loop = {
    clock,
    stop,
    node,
    /** `+`, `-`, or `?` for each check. */
    checks: "",
    /** `passing`, or `failing: reason`. */
    flips: [] as string[],
    hasEnded: false,
    done: Promise.resolve(),
    async end() {
      stop.abort();
      await loop.done;
      assert.equal(clock.pending, 0, "an alarm was left");
    },
  };
  loop.done = runCheckLoop(
    {
      clock,
      random,
      check,
      onCheck(passed) {
        loop.checks += passed === undefined ? "?" : passed ? "+" : "-";
      },
      onPassing(seen) {
        assert.equal(seen, node);
        loop.flips.push("passing");
      },
      onFailing(seen, reason) {
        assert.equal(seen, node);
        loop.flips.push(`failing: ${reason}`);
      },
    },
    { ...DEFAULTS, ...options },
    node,
    stop.signal,
  ).then(() => {
    loop.hasEnded = true;
  });
  return loop;
}

function nodeOn(port: number): Node {
  return createNode(`127.0.0.1:${port}`, 0, { kind: "tcp", host: "127.0.0.1", port, basePath: "" }, 1);
}

/** A check with results in order, the last one for ever. */
function scripted(...results: readonly CheckResult[]): Check {
  let next = 0;
  return async () => results[Math.min(next++, results.length - 1)];
}

describe("check loop", () => {
  it("checks at once, then an interval after each check", async () => {
    const loop = startLoop(scripted(PASSED));
    await loop.clock.advance(0);
    assert.deepEqual([loop.checks, loop.flips], ["+", ["passing"]]);
    await loop.clock.advance(2999);
    assert.equal(loop.checks, "+");
    await loop.clock.advance(1);
    assert.equal(loop.checks, "++");
    await loop.clock.advance(6000);
    assert.equal(loop.checks, "++++");
    await loop.end();
  });

  it("FB9: tells a node's failure at the second failed check in a row and its return at the first passed one", async () => {
    const results = [PASSED, failed("timeout"), PASSED, failed("refused"), failed("status 503"), failed("x"), PASSED];
    const loop = startLoop(scripted(...results));
    const told: string[] = [];
    for (const _ of results) {
      await loop.clock.advance(told.length === 0 ? 0 : 3000);
      told.push(loop.flips.join(", "));
    }
    assert.equal(loop.checks, "+-+---+");
    assert.deepEqual(told, [
      "passing",
      "passing",
      "passing",
      "passing",
      "passing, failing: status 503",
      "passing, failing: status 503",
      "passing, failing: status 503, passing",
    ]);
    await loop.end();
  });

  it("tells of a node that fails its very first check", async () => {
    const loop = startLoop(scripted(failed("refused"), PASSED), { healthyThreshold: 2 });
    await loop.clock.advance(0);
    assert.deepEqual(loop.flips, ["failing: refused"]);
    await loop.clock.advance(3000);
    assert.deepEqual(loop.flips, ["failing: refused"]);
    await loop.clock.advance(3000);
    assert.deepEqual(loop.flips, ["failing: refused", "passing"]);
    await loop.end();
  });

  it("draws no conclusion from a check that says nothing about the node", async () => {
    const nothing: CheckResult = { passed: undefined, reason: "EMFILE" };
    const loop = startLoop(scripted(nothing, PASSED, failed("x"), nothing, nothing, failed("y"), PASSED));
    await loop.clock.advance(0);
    assert.deepEqual([loop.checks, loop.flips], ["?", []]);
    await loop.clock.advance(4 * 3000);
    assert.deepEqual([loop.checks, loop.flips], ["?+-??", ["passing"]]);
    await loop.clock.advance(3000);
    assert.deepEqual(loop.flips, ["passing", "failing: y"], "the failures before and after it are in a row");
    await loop.end();
  });

  it("checks a dead node as well", async () => {
    const node = nodeOn(80);
    node.alive = false;
    const loop = startLoop(scripted(PASSED), { node });
    await loop.clock.advance(0);
    await loop.clock.advance(3000);
    assert.equal(loop.checks, "++");
    await loop.end();
  });

  it("never has two checks of a node under way, however long they take", async () => {
    const clock = new FakeClock();
    const began: number[] = [];
    let running = 0;
    const origin = clock.now();
    const slow: Check = async (_node, signal) => {
      began.push(clock.now() - origin);
      assert.equal(++running, 1);
      await sleep(clock, 10_000, signal);
      running--;
      return PASSED;
    };
    const loop = startLoop(slow, { clock });
    await clock.advance(40_000);
    assert.deepEqual(began, [0, 13_000, 26_000, 39_000], "the interval begins when a check has ended");
    await loop.end();
  });

  it("moves each pause by at most a fifth of the interval", async () => {
    const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    await fc.assert(
      fc.asyncProperty(fc.array(chance, { minLength: 1, maxLength: 5 }), async (draws) => {
        const clock = new FakeClock();
        const began: number[] = [];
        let drawn = 0;
        const check: Check = async () => {
          began.push(clock.now());
          return PASSED;
        };
        const loop = startLoop(check, { clock, random: () => draws[drawn++] ?? 0 });
        await clock.advance(0);
        await clock.advance(draws.length * 3600);
        await loop.end();
        assert.ok(began.length > draws.length);
        for (const [index, draw] of draws.entries()) {
          const pauseMs = began[index + 1] - began[index];
          assert.ok(pauseMs >= 2400 - 1e-6 && pauseMs <= 3600 + 1e-6, `${pauseMs} ms`);
          assert.ok(Math.abs(pauseMs - (2400 + 1200 * draw)) < 1e-6, "chance alone decides");
        }
      }),
      { numRuns: 30 },
    );
  });

  it("delays nobody else", async () => {
    const clock = new FakeClock();
    const stuck = startLoop((_node, signal) => sleep(clock, 1e9, signal).then(() => failed("timeout")), { clock });
    const quick = startLoop(scripted(PASSED), { clock });
    await clock.advance(0);
    await clock.advance(9000);
    assert.deepEqual([stuck.checks, quick.checks], ["", "++++"]);
    stuck.stop.abort();
    await quick.end();
    await stuck.done;
  });

  it("ends at once in a pause", async () => {
    const loop = startLoop(scripted(PASSED));
    await loop.clock.advance(0);
    await loop.clock.advance(1000);
    assert.equal(loop.clock.pending, 1);
    await loop.end();
    assert.equal(loop.checks, "+");
  });

  it("ignores what a check says after the end", async () => {
    for (const late of [PASSED, failed("late")]) {
      let answer = (_result: CheckResult) => {};
      const loop = startLoop(() => new Promise((resolve) => (answer = resolve)));
      loop.stop.abort();
      answer(late);
      await loop.done;
      assert.deepEqual([loop.checks, loop.flips], ["", []]);
    }
  });

  it("checks no more when it was ended by what it told", async () => {
    const loop = startLoop(scripted(PASSED));
    loop.flips.push = () => {
      loop.stop.abort();
      return 0;
    };
    await loop.done;
    await loop.clock.advance(9000);
    assert.equal(loop.checks, "+");
  });

  it("refuses thresholds that no row of results could reach", async () => {
    await assert.rejects(startLoop(scripted(PASSED), { healthyThreshold: 0 }).done, { code: "ERR_OPTION" });
  });
});

describe("check loop over HTTP", () => {
  let dial: Dial;
  before(async () => {
    const onFallback = (reason: string) => assert.fail(reason);
    ({ dial } = await openSockets({ preference: process.env.FNLB_SOCKETS, onFallback }));
  });

  /** A loop of real checks of the node on this port; when the test is over no socket may be left of it. */
  function startHttpLoop(t: TestContext, port: number, minVersion = "") {
    const clock = new FakeClock();
    const watched = new WatchedDial(dial);
    const check = httpCheck(
      { clock, dial: watched.dial, targetsOf: () => [{ host: "127.0.0.1", port }] },
      {
        path: "/version",
        method: "GET",
        host: "",
        timeoutMs: 5000,
        statuses: [[200, 299]],
        bodyIncludes: "",
        bodyBytesMax: 64 * 1024,
        minVersion,
      },
    );
    const loop = startLoop(check, { clock, node: nodeOn(port) });
    t.after(async () => {
      await loop.end();
      await eventually(() => watched.isIdle);
    });
    return {
      loop,
      watched,
      /** The next `count` checks, each to its end. */
      async checks(count: number) {
        for (let ended = 0; ended < count; ended++) {
          const { length } = loop.checks;
          if (length > 0) await clock.advance(3000);
          await eventually(() => loop.checks.length === length + 1);
        }
      },
    };
  }

  it("FB9: follows a node that stops to answer well, is gone, and comes back", async (t) => {
    let status = 200;
    const node = await startFunctionNode(t, {
      name: "node",
      answer: (_request, response) => response.writeHead(status).end(),
    });
    const { loop, checks } = startHttpLoop(t, node.port);
    await checks(2);
    assert.deepEqual(loop.flips, ["passing"]);
    status = 503;
    await checks(1);
    status = 200;
    await checks(1);
    status = 503;
    await checks(1);
    assert.deepEqual(loop.flips, ["passing"], "one failed check keeps it, and a passed one forgives");
    await checks(1);
    assert.deepEqual(loop.flips, ["passing", "failing: status 503"]);
    status = 200;
    await checks(1);
    assert.deepEqual(loop.flips, ["passing", "failing: status 503", "passing"]);
    await node.stop();
    await checks(2);
    assert.equal(loop.flips.at(-1), "failing: refused");
    await node.start();
    await checks(1);
    assert.equal(loop.flips.at(-1), "passing");
    assert.equal(loop.checks, "++-+--+--+");
  });

  it("FB10: keeps a node out as long as its version is too old, no version or no JSON", async (t) => {
    let body = '{"version":"0.0.234"}';
    const node = await startFunctionNode(t, { name: "node", answer: (_request, response) => response.end(body) });
    const { loop, checks } = startHttpLoop(t, node.port, "0.0.235");
    await checks(1);
    assert.deepEqual(loop.flips, ["failing: version 0.0.234"]);
    for (body of ["pong", '{"version":7}', '{"version":"latest"}']) await checks(1);
    assert.deepEqual([loop.checks, loop.flips.length], ["----", 1]);
    body = '{"version":"0.0.235"}';
    await checks(1);
    assert.equal(loop.flips.at(-1), "passing");
  });

  it("FB9: takes a node that does not answer in time for one that fails", async (t) => {
    const silent = await startRawOrigin(t);
    const { loop } = startHttpLoop(t, silent.port);
    await silent.accept();
    await loop.clock.advance(5000);
    assert.deepEqual([loop.checks, loop.flips], ["-", ["failing: timeout"]]);
    await loop.clock.advance(2999);
    assert.equal(silent.connections.length, 1, "the next check is an interval after the end of this one");
    await loop.clock.advance(1);
    await silent.accept();
  });

  it("ends at once within a check, and leaves no socket", async (t) => {
    const silent = await startRawOrigin(t);
    const { loop, watched } = startHttpLoop(t, silent.port);
    const peer = await silent.accept();
    await peer.log.untilText("\r\n\r\n");
    await loop.end();
    await eventually(() => watched.isIdle);
    await peer.log.untilEnd();
    assert.deepEqual([loop.checks, loop.flips], ["", []]);
  });
});
