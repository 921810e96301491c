import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AdminClient } from "../../src/cli/remote/admin-client.js";
import type { NodeAnswer, StatusAnswer } from "../../src/cli/remote/answers.js";
import { Call, type CommandContext } from "../../src/cli/remote/command.js";
import { watch } from "../../src/cli/remote/commands/watch.js";
import { Failure } from "../../src/cli/remote/display/failure.js";
import { type FrameOptions, type Sample, watchFrame, watchLines } from "../../src/cli/remote/display/watch-frame.js";
import { type AdminStub, problem, startAdminStub, stubCluster, stubNode, stubState } from "../support/admin-stub.js";
import { type FakeTerminal, fakeTerminal } from "../support/fake-terminal.js";
import { runProgram } from "../support/program.js";
import { NO_PSEUDO_TERMINAL, runOnTerminal } from "../support/pseudo-terminal.js";

/** What the stub says, as the client reads it. */
function sampleOf({ status, nodes }: ReturnType<typeof stubState>): Sample {
  return { status: status as unknown as StatusAnswer, nodes: nodes as unknown as readonly NodeAnswer[] };
}

/** Control sequences as something that can be read. */
function visible(text: string): string {
  return text.replaceAll("\x1b", "ESC");
}

function frame(options: Partial<FrameOptions>): string[] {
  return watchFrame({
    place: "127.0.0.1:9081",
    current: undefined,
    previous: undefined,
    silence: undefined,
    columns: 100,
    rows: 40,
    hasColor: false,
    ...options,
  });
}

const before = stubState();
const cluster = before.status.clusters[0];
const after = stubState(
  { uptimeMs: 7_386_000, clusters: [{ ...cluster, requests: 49_211 }] },
  before.nodes.map((node) => ({ ...node, attempts: Number(node.attempts) + 25 })),
);

describe("a frame of the live table", () => {
  it("shows what is in flight, and rates by the server's own clock", () => {
    assert.deepEqual(frame({ previous: sampleOf(before), current: sampleOf(after) }), [
      "fnlb 1.2.3, process 4711: serving, ready, up 2h 3m, store up, fast sockets, log level info",
      "12 connections, 1 exchange, 0 tunnels, 0 queued, 48211 requests; P50, P99 of the last 2 s",
      "",
      "CLUSTER  SERVING  RATE/S  IN FLIGHT  QUEUED  PROBLEMS     P50      P99",
      "default  1 of 2      500          0       0         3  420 µs  15.6 ms",
      "",
      "NODE           STATE           RATE/S  IN FLIGHT  WEIGHT  FAULTS     P50    P99",
      "10.0.0.1:8080  serving           12.5          1       1       0  400 µs  15 ms",
      "10.0.0.2:8080  dead, draining    12.5          0     0.5       7       -      -",
    ]);
  });

  it("knows no rate of what has begun anew", () => {
    const rates = (previous: Sample | undefined, current: Sample) =>
      frame({ previous, current }).map((line) => line.split(/ {2,}/)[2]);
    assert.deepEqual(rates(undefined, sampleOf(before)).filter(Boolean), ["RATE/S", "-", "RATE/S", "-", "-"]);
    const restarted = sampleOf(stubState({ ...after.status, startedAt: "2026-01-02T05:04:05.000Z" }, after.nodes));
    assert.ok(rates(sampleOf(before), restarted).includes("-"));
    const readded = sampleOf(stubState(after.status, [stubNode("10.0.0.1:8080", { attempts: 3 }), stubNode("c:1")]));
    assert.deepEqual(rates(sampleOf(before), readded).slice(-2), ["-", "-"]);
  });

  it("fits its terminal, whatever the names are", () => {
    const current = sampleOf(
      stubState({ clusters: [stubCluster("函数集群"), stubCluster("b")] }, [
        ...Array.from({ length: 30 }, (_, index) => stubNode(`node-${index}:8080`, { cluster: "函数集群" })),
      ]),
    );
    const lines = frame({ current, columns: 24, rows: 12 });
    assert.equal(lines.length, 12);
    assert.equal(lines.at(-1), "… 27 more lines");
    assert.equal(lines[3], "CLUSTER   SERVING  RATE…");
    assert.equal(lines[4], "函数集群  1 of 1       …");
    assert.equal(lines[5], "b         1 of 1       …");
    assert.equal(frame({ current, columns: 24, rows: 1 }).length, 1);
  });

  it("says that there is no store, and nothing of a log without a level", () => {
    const [line] = frame({ current: sampleOf(stubState({ store: "none", logLevel: null })) });
    assert.equal(line, "fnlb 1.2.3, process 4711: serving, ready, up 2h 3m, no store, fast sockets");
  });

  it("says why no clients should come", () => {
    const first = (status: Record<string, unknown>) => frame({ current: sampleOf(stubState(status)) })[0];
    const paused = first({ ready: false, readiness: "paused" });
    assert.match(paused, /: serving, not ready \(paused\), up /);
    const draining = first({ state: "draining", ready: false, readiness: "draining" });
    assert.match(draining, /: draining, not ready, up /);
  });

  it("colours states by their urgency", () => {
    const lines = frame({ current: sampleOf(before), hasColor: true });
    assert.ok(lines.some((line) => line.includes("\x1b[32mserving       \x1b[0m")));
    assert.ok(lines.some((line) => line.includes("\x1b[31mdead, draining\x1b[0m")));
  });

  it("keeps the last answer below the news that there is none now", () => {
    const lines = frame({ current: sampleOf(before), silence: "nobody there" });
    assert.equal(lines[0], "no answer, trying again: nobody there");
    assert.match(lines[1], /^fnlb 1\.2\.3/);
    assert.deepEqual(frame({ silence: "nobody there" }), ["no answer, trying again: nobody there"]);
    assert.deepEqual(frame({}), ["asking 127.0.0.1:9081"]);
  });

  it("is a line for each cluster where nobody looks", () => {
    assert.deepEqual(watchLines(sampleOf(after), sampleOf(before)), [
      "2026-01-02T05:07:11.000Z cluster=default serving=1/2 rate=500 inFlight=0 queued=0 problems=3 p50=420µs p99=15.6ms",
    ]);
  });
});

/** `watch` with a terminal and a time of the test's own: each item of `turns` runs before the next question. */
async function watchFor(
  t: TestContext,
  stub: AdminStub,
  {
    terminal,
    options = {},
    turns,
  }: { terminal: FakeTerminal; options?: Readonly<Record<string, unknown>>; turns: readonly (() => unknown)[] },
): Promise<number> {
  const admin = new AdminClient({ name: stub.address, origin: `http://${stub.address}` });
  t.after(() => admin.close());
  const end = new AbortController();
  let turn = 0;
  const context: CommandContext = {
    admin,
    terminal,
    call: new Call([], options),
    env: {},
    async pause(_delayMs, signal) {
      if (turn === turns.length) end.abort();
      else await turns[turn++]();
      return signal?.aborted !== true;
    },
    untilSignal: () => end.signal,
  };
  return watch(context);
}

describe("fnlb status --watch", () => {
  it("paints over what it has painted, and gives the terminal back", async (t) => {
    const stub = await startAdminStub(t);
    const terminal = fakeTerminal({ columns: 40, rows: 10 });
    const code = await watchFor(t, stub, {
      terminal,
      turns: [
        () => {
          assert.match(
            visible(terminal.take()),
            /^ESC\[\?1049hESC\[\?25lESC\[HESC\[2Kfnlb 1\.2\.3, process 4711: serving, read…\nESC/,
          );
        },
        () => {
          assert.match(visible(terminal.take()), /^ESC\[H[\s\S]*\nESC\[J$/);
          terminal.resize(12, 10);
          assert.match(visible(terminal.take()), /^ESC\[HESC\[2Kfnlb 1\.2\.3,…\n/);
        },
      ],
    });
    assert.equal(code, 0);
    assert.match(visible(terminal.take()), /ESC\[JESC\[\?25hESC\[\?1049l$/);
    terminal.resize(20, 5);
    assert.equal(terminal.take(), "");
  });

  it("says that there is no answer, tries again, and goes on when there is one", async (t) => {
    const stub = await startAdminStub(t);
    const terminal = fakeTerminal({ columns: 200 });
    await watchFor(t, stub, {
      terminal,
      turns: [
        () => stub.stop(),
        async () => {
          assert.match(
            visible(terminal.take()),
            /ESC\[HESC\[2Kno answer, trying again: could not get the status: no answer from [^\n]+\n[^\n]*fnlb 1\.2\.3/,
          );
          await stub.start();
        },
        () => {
          assert.doesNotMatch(visible(terminal.take()), /no answer/);
          stub.answer = () => problem(503, "ERR_DRAINING", "it is going");
        },
        () => assert.match(visible(terminal.take()), /no answer, trying again: [^\n]*503 ERR_DRAINING: it is going/),
      ],
    });
  });

  it("ends with what is refused for good, behind a terminal that is as it was", async (t) => {
    const stub = await startAdminStub(t);
    const terminal = fakeTerminal();
    stub.answer = () => problem(401, "ERR_UNAUTHORIZED", "no token");
    await assert.rejects(
      watchFor(t, stub, { terminal, turns: [] }),
      (error) => error instanceof Failure && /401/.test(error.message),
    );
    assert.match(visible(terminal.written), /ESC\[\?25hESC\[\?1049l$/);
  });

  it("appends lines where nobody looks, JSON if asked for, until nobody reads", async (t) => {
    const stub = await startAdminStub(t);
    const terminal = fakeTerminal({ isTty: false });
    await watchFor(t, stub, { terminal, turns: [() => stub.stop(), () => terminal.leave()] });
    const [first, second, rest] = terminal.written.split("\n");
    assert.match(first, /^2026-01-02T05:07:09\.000Z cluster=default serving=1\/2 rate=- /);
    assert.match(second, /^no answer, trying again: could not get the status: /);
    assert.equal(rest, "");
    await stub.start();
    const json = fakeTerminal({ isTty: false });
    await watchFor(t, stub, { terminal: json, options: { json: true }, turns: [() => stub.stop()] });
    assert.deepEqual(JSON.parse(json.written), stub.state.status);
    assert.equal(json.complaints.length, 1);
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const)
    it(`runs on a real terminal, follows its size, and gives it back at ${signal}`, {
      skip: NO_PSEUDO_TERMINAL,
    }, async (t) => {
      const stub = await startAdminStub(t);
      const args = ["status", "--watch", "--interval", "100ms", "--admin", stub.address];
      const program = await runOnTerminal(t, args, { columns: 40, rows: 10 });
      const asUtf8 = () => visible(program.screen.bytes.toString());
      await program.screen.until("a frame", () => asUtf8().includes("serving, read…") || undefined);
      assert.match(asUtf8(), /ESC\[\?1049hESC\[\?25l/);
      assert.match(asUtf8(), /ESC\[1mCLUSTER/);
      await program.resize(20, 10);
      await program.screen.until("a narrower frame", () => asUtf8().includes("fnlb 1.2.3, process…") || undefined);
      program.signal(signal);
      assert.equal(await program.ended(), 0);
      assert.match(asUtf8(), /ESC\[\?25hESC\[\?1049l$/);
    });

  it("lends the terminal out while it is stopped", { skip: NO_PSEUDO_TERMINAL }, async (t) => {
    const stub = await startAdminStub(t);
    const args = ["status", "--watch", "--interval", "100ms", "--admin", stub.address];
    const program = await runOnTerminal(t, args, { columns: 40, rows: 10 });
    await program.screen.untilText("CLUSTER");
    // What lends it its terminal stops with it, and shows the rest when it goes on. A stop that it has not noticed when it is
    // told to go on is forgotten by the kernel, and asked for again.
    const lent = /\?25hESC\[\?1049lESC\[\?1049hESC\[\?25l.*CLUSTER/s;
    const isLent = () => lent.test(visible(program.screen.text));
    let turn = 0;
    const turning = setInterval(() => program.signal(turn++ % 2 > 0 || isLent() ? "SIGCONT" : "SIGTSTP"), 50);
    try {
      await program.screen.until("another frame", () => isLent() || undefined);
      program.signal("SIGINT");
      assert.equal(await program.ended(), 0);
    } finally {
      clearInterval(turning);
    }
  });

  it("has no colours where NO_COLOR says so", { skip: NO_PSEUDO_TERMINAL }, async (t) => {
    const stub = await startAdminStub(t);
    const program = await runOnTerminal(t, ["nodes", "--admin", stub.address], {
      columns: 100,
      rows: 10,
      env: { NO_COLOR: "1" },
    });
    assert.equal(await program.ended(), 0);
    assert.match(program.screen.text, /\nNODE +STATE/);
    assert.doesNotMatch(visible(program.screen.text), /ESC\[\d+m/);
  });

  it("is cut off like any program whose reader has gone", async (t) => {
    const stub = await startAdminStub(t);
    const program = runProgram(t, ["status", "--watch", "--interval", "100ms", "--admin", stub.address]);
    await program.stdout.untilText("cluster=default");
    program.child.stdout?.destroy();
    assert.equal(await program.ended(), 0);
  });
});
