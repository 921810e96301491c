import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FnlbError, resolveConfig } from "../../src/index.js";

describe("the URL of a store", () => {
  for (const url of [
    "redis://store",
    "redis://store:6379",
    "redis://store:6379/",
    "redis://store:6379/15",
    "redis://:p%40ss@store",
    "rediss://user:password@store.example.com:6380/1",
    "redis://[::1]:6379",
    "unix:///run/redis.sock",
    "unix://user:password@/run/redis.sock?db=2",
    "",
  ]) {
    it(`may be ${JSON.stringify(url)}`, () => {
      assert.equal(resolveConfig({ options: { store: url } }).store, url);
    });
  }

  for (const url of [
    "store:6379",
    "http://store:6379",
    "redis:store",
    "redis://",
    "redis://store:99999",
    "redis://store/one",
    "redis://store/1/2",
    "redis://store?db=1",
    "redis://store/1#x",
    "redis://%zz@store",
    "unix://run/redis.sock",
    "unix:///",
    "unix:///run/redis.sock?database=2",
    "redis://a,redis://b",
  ]) {
    it(`must not be ${url}`, () => {
      assert.throws(() => resolveConfig({ options: { store: url } }), { code: "ERR_OPTION" });
    });
  }

  it("is refused without repeating its password", () => {
    for (const url of ["redis://user:hunter2@store/x", "redis://:hunter2/@store", "unix://:hunter2@run?db=1"]) {
      assert.throws(
        () => resolveConfig({ env: { FNLB_STORE: url } }),
        (error: Error) => {
          assert.ok(error instanceof FnlbError);
          assert.match(error.message, /^environment variable FNLB_STORE must be redis:\/\//);
          assert.doesNotMatch(error.message, /hunter2/);
          return true;
        },
      );
    }
  });
});
