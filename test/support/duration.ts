import assert from "node:assert/strict";

/** What `30s` in files for orchestrators comes to. */
export function durationMs(text: string): number {
  const [, count, unit] = /^(\d+)(ms|s|m)$/.exec(text) ?? assert.fail(`${text} is no duration`);
  return Number(count) * { ms: 1, s: 1000, m: 60_000 }[unit as "ms" | "s" | "m"];
}
