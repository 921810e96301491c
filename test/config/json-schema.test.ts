import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import fc from "fast-check";
import { CLUSTER_OPTIONS } from "../../src/config/cluster-options.js";
import { parseConfigFile, takesList } from "../../src/config/config-file.js";
import { configSchema } from "../../src/config/json-schema.js";
import type { OptionRow } from "../../src/config/option-row.js";
import { OPTION_LIST, OPTIONS } from "../../src/config/options.js";
import { resolveConfig } from "../../src/config/resolve.js";
import { FnlbError } from "../../src/errors.js";
import { schemaFaults } from "../support/config-schema.js";
import { ROOT } from "../support/program.js";

const ROWS = Object.entries(OPTIONS) as [string, OptionRow][];
const QUANTITIES = ROWS.filter(([, { kind }]) => ["duration", "size", "count", "number"].includes(kind));

const isAccepted = (name: string, value: unknown) => schemaFaults({ [name]: value }).length === 0;

/** What the program's own reader has against the value of one option in a file, or "". */
function faultOf(name: string, value: unknown): string {
  const { options } = parseConfigFile(JSON.stringify({ [name]: value }), "f");
  const [[, given]] = options;
  try {
    (OPTIONS as Readonly<Record<string, OptionRow>>)[name].read(given);
    return "";
  } catch (error) {
    assert.ok(error instanceof FnlbError, String(error));
    return error.message;
  }
}

describe("the schema of the config file", () => {
  it("is what docs/config.schema.json says", async () => {
    await promisify(execFile)(process.execPath, [join(ROOT, "docs/write-schema.js"), "--check"]);
  });

  it("has every option once for the process, and those of clusters for each of them", () => {
    const { properties } = configSchema() as {
      properties: Record<string, { additionalProperties?: { properties: object } }>;
    };
    const names = OPTION_LIST.map(([name]) => name);
    assert.deepEqual(Object.keys(properties).sort(), [...names, "$schema", "clusters", "routes"].sort());
    assert.deepEqual(
      Object.keys(properties.clusters.additionalProperties?.properties ?? {}),
      Object.keys(CLUSTER_OPTIONS),
    );
  });

  it("gives defaults that it accepts itself, and that are the program's", () => {
    const { properties } = configSchema() as { properties: Record<string, { default?: unknown }> };
    const defaults = Object.fromEntries(
      Object.entries(properties).flatMap(([name, { default: value }]) => (value === undefined ? [] : [[name, value]])),
    );
    assert.ok(Object.keys(defaults).length > 50);
    assert.deepEqual(schemaFaults(defaults), []);
    assert.deepEqual(resolveConfig({ file: parseConfigFile(JSON.stringify(defaults), "f") }), resolveConfig());
  });

  it("holds every number within the bounds of the program", () => {
    for (const [name, { min = 0, max, minUnlessZero }] of QUANTITIES) {
      const bounds = [min, minUnlessZero ?? min, max ?? 2 ** 31 - 1];
      for (const value of bounds)
        assert.deepEqual(
          [isAccepted(name, value), faultOf(name, value)],
          [true, name === "maglev-table-size" ? faultOf(name, value) : ""],
          `${name} ${value}`,
        );
      for (const value of [-1, min - 1, (max ?? 2 ** 53) + 1, 0.5 * (minUnlessZero ?? 0) || -0.5]) {
        assert.deepEqual([isAccepted(name, value), faultOf(name, value) !== ""], [false, true], `${name} ${value}`);
      }
    }
  });

  it("accepts no quantity that the program refuses, whatever it is, but for the range of one with a unit", () => {
    const digits = fc.integer({ min: 0, max: 100_000 }).map(String);
    const fraction = fc.constantFrom("", "", ".5", ".25", ".125", ".0625", ".75", ".3", ".001", ".0001", ".");
    const unit = fc.constantFrom(
      "",
      "",
      "ms",
      "s",
      "m",
      "h",
      "d",
      "b",
      "B",
      "k",
      "kB",
      "KiB",
      "MB",
      "MiB",
      "gb",
      "GiB",
      "S",
      "x",
      "-",
      "e3",
    );
    const text = fc.tuple(digits, fraction, fc.constantFrom("", " ", "\n"), unit).map((parts) => parts.join(""));
    const number = fc.oneof(
      fc.integer({ min: -10 }),
      fc.integer({ min: 0, max: 4000 }).map((n) => n / 8),
      fc.boolean(),
      fc.constant(null),
    );
    let accepted = 0;
    fc.assert(
      fc.property(fc.constantFrom(...QUANTITIES.map(([name]) => name)), fc.oneof(text, number), (name, value) => {
        if (!isAccepted(name, value)) return;
        accepted++;
        const fault = faultOf(name, value);
        if (typeof value === "string")
          assert.match(
            fault,
            /^$|at least|at most|up to 24 days such as .*got "[\d. \\n]+[mhd]?s?"|from \d|prime/s,
            `${name}: ${value}`,
          );
        else assert.match(fault, /^$|prime/, `${name}: ${value}`);
      }),
      { numRuns: 5000 },
    );
    assert.ok(accepted > 500, `${accepted}`);
  });

  it("accepts what people write", () => {
    for (const config of [
      {},
      {
        "ping-interval": "500ms",
        "tunnel-idle-timeout": "1.5h",
        "body-bytes": "10 MB",
        "head-bytes": "32KiB",
        attempts: "5",
      },
      { listen: [":8081", "unix:/run/fnlb.sock"], nodes: ["a", "b=2"], "request-id": "yes", "trust-proxy": [] },
      {
        $schema: "./config.schema.json",
        clusters: { api: { nodes: "a", policy: "random" } },
        routes: [{ cluster: "api" }],
      },
      {
        routes: [
          { host: ["a", "b"], header: { x: "1", y: null, z: 2 }, exact: true, "redirect-slash": false, cluster: "a" },
        ],
      },
    ])
      assert.deepEqual(schemaFaults(config), [], JSON.stringify(config));
  });

  it("takes a list where the program does, and nowhere else", () => {
    for (const [name, row] of ROWS) {
      const list = [row.default, row.default];
      let fault = "";
      try {
        parseConfigFile(JSON.stringify({ [name]: list }), "f");
      } catch (error) {
        fault = String(error);
      }
      assert.deepEqual([isAccepted(name, list), fault === ""], [takesList(row), takesList(row)], name);
    }
  });

  for (const [what, config] of [
    ["a list", []],
    ["an unknown option", { pingInterval: "1s" }],
    ["an option of the process in a cluster", { clusters: { a: { listen: ":1" } } }],
    ["an unknown option of a cluster", { clusters: { a: { node: "b" } } }],
    ["a bad name of a cluster", { clusters: { "a b": {} } }],
    ["a list of clusters", { clusters: [{ name: "a" }] }],
    ["a cluster that is nothing", { clusters: { a: null } }],
    ["a map of routes", { routes: {} }],
    ["a route that leads nowhere", { routes: [{ path: "/" }] }],
    ["an unknown key of a route", { routes: [{ cluster: "a", hosts: "b" }] }],
    ["a relative path", { routes: [{ cluster: "a", path: "b" }] }],
    ["a list of headers", { routes: [{ cluster: "a", header: ["x"] }] }],
    ["a word that is no choice", { policy: "least-conn" }],
    ["a number for a switch", { "request-id": 2 }],
    ["nothing", { nodes: null }],
    ["a map for a value", { nodes: { a: 1 } }],
    ["a list in a list", { nodes: [["a"]] }],
    ["half a millisecond", { "ping-interval": 1.5 }],
    ["a unit that is none", { "ping-interval": "5 sec" }],
  ] as const)
    it(`refuses ${what}, as the program does`, () => {
      assert.notDeepEqual(schemaFaults(config), []);
      assert.throws(() => resolveConfig({ file: parseConfigFile(JSON.stringify(config), "f") }), {
        code: "ERR_OPTION",
      });
    });
});
