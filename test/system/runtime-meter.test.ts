import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readRuntime } from "../../src/system/runtime-meter.js";

describe("the readings of the process", () => {
  it("are those of this process, in seconds and bytes", () => {
    const before = process.cpuUsage();
    const reading = readRuntime();
    const after = process.cpuUsage();
    assert.ok(reading.cpuUserSeconds * 1e6 >= before.user && reading.cpuUserSeconds * 1e6 <= after.user);
    assert.ok(reading.cpuSystemSeconds * 1e6 >= before.system && reading.cpuSystemSeconds * 1e6 <= after.system);
    assert.ok(Math.abs(reading.startedSeconds - (Date.now() / 1000 - process.uptime())) < 5);
    assert.ok(reading.residentBytes > reading.heapUsedBytes && reading.heapUsedBytes > 1e6);
    assert.equal(reading.runtime, process.version);
    assert.ok(reading.descriptorsMax > 0);
  });

  it("only grow where they are sums", () => {
    const first = readRuntime();
    for (let turn = 0; turn < 1e6; turn++) Math.sqrt(turn);
    const second = readRuntime();
    for (const key of ["cpuUserSeconds", "cpuSystemSeconds", "loopActiveSeconds", "loopIdleSeconds"] as const) {
      assert.ok(second[key] >= first[key], key);
    }
    assert.equal(second.startedSeconds, first.startedSeconds);
  });
});
