import { performance } from "node:perf_hooks";
import type { RuntimeReading } from "../core/runtime-reading.js";
import { descriptorLimit } from "./descriptor-limit.js";

const MICROSECONDS = 1e6;
const MILLISECONDS = 1e3;

/** Neither changes while the process runs. */
const STARTED_SECONDS = performance.timeOrigin / MILLISECONDS;
const DESCRIPTORS_MAX = descriptorLimit();

/**
 * Reads what the process has taken, in less than 10 µs. Open descriptors are not among it: counting them means listing a folder
 * with one entry for each connection, while requests wait.
 */
export function readRuntime(): RuntimeReading {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
  const { active, idle } = performance.eventLoopUtilization();
  return {
    runtime: process.version,
    startedSeconds: STARTED_SECONDS,
    cpuUserSeconds: user / MICROSECONDS,
    cpuSystemSeconds: system / MICROSECONDS,
    loopActiveSeconds: active / MILLISECONDS,
    loopIdleSeconds: idle / MILLISECONDS,
    residentBytes: rss,
    heapUsedBytes: heapUsed,
    heapTotalBytes: heapTotal,
    externalBytes: external,
    descriptorsMax: DESCRIPTORS_MAX,
  };
}
