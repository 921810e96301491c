import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe, it } from "node:test";
import { openStore } from "../../src/store/open-store.js";
import { systemClock } from "../../src/system/clock.js";

/** Is the client of the store in this process? */
function isLoaded(): boolean {
  return Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes("@redis"));
}

describe("opening a store", () => {
  it("loads the client only for who wants a server", async () => {
    const ignore = () => {};
    const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
    const dependencies = { clock: systemClock, random: Math.random, log };
    const own = await openStore(dependencies, "");
    assert.deepEqual([own.state, isLoaded()], ["none", false]);
    const shared = await openStore(dependencies, "redis://127.0.0.1:1");
    assert.deepEqual([shared.state, isLoaded()], ["connecting", true]);
  });
});
