import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { describe, it } from "node:test";

/** One import of a source file. */
interface Import {
  readonly from: string;
  /** A file below src, or a module's name. */
  readonly to: string;
  /** Types only: gone when the program runs. */
  readonly isType: boolean;
}

/** Tests run from the root of the package. */
const SOURCES = readdirSync("src", { recursive: true, encoding: "utf8" })
  .map((name) => name.replaceAll("\\", "/"))
  .filter((name) => /\.ts$/.test(name) && !name.endsWith(".d.ts"));

function importsOf(file: string): Import[] {
  const text = readFileSync(`src/${file}`, "utf8");
  return [...text.matchAll(/^(?:import|export)\s+(type\s)?(?:[^;"']*?\sfrom\s)?["']([^"']+)["'];/gm)].map(
    ([statement, type, to]) => ({
      from: file,
      to: to.startsWith(".") ? posix.normalize(posix.join(posix.dirname(file), to)).replace(/\.js$/, ".ts") : to,
      isType:
        type !== undefined || !/\{[^}]*\}/.test(statement)
          ? type !== undefined
          : /\{\s*(?:type [^,}]+,?\s*)+\}/.test(statement),
    }),
  );
}

const IMPORTS = SOURCES.flatMap(importsOf);

/** Rooms from top to bottom; a room may import from the floors below it, and its own files. */
const FLOORS: readonly (readonly string[])[] = [
  ["index.ts"],
  ["cli"],
  ["balancer.ts", "client"],
  ["assembly"],
  ["system"],
  ["proxy", "health", "discovery", "store", "admin"],
  ["http1", "config"],
  ["core"],
  ["errors.ts"],
];

/** Who may import the room with the runtime's internals. */
const SYSTEM_USERS = ["cli", "balancer.ts", "client", "assembly", "system"];
const DATA_PATH_FLOOR = 5;

function roomOf(file: string): string {
  return file.includes("/") ? file.slice(0, file.indexOf("/")) : file;
}

function floorOf(file: string): number {
  return FLOORS.findIndex((rooms) => rooms.includes(roomOf(file)));
}

describe("the house", () => {
  it("has a floor for every room", () => {
    assert.deepEqual(
      [...new Set(SOURCES.map(roomOf))].filter((room) => !FLOORS.some((rooms) => rooms.includes(room))),
      [],
    );
  });

  it("imports downward only, and never from a sibling", () => {
    const wrong = IMPORTS.filter(
      ({ from, to }) => to.endsWith(".ts") && roomOf(from) !== roomOf(to) && floorOf(from) >= floorOf(to),
    );
    assert.deepEqual(wrong, []);
  });

  it("keeps the system's room to the command line and the composition roots", () => {
    const wrong = IMPORTS.filter(({ from, to }) => roomOf(to) === "system" && !SYSTEM_USERS.includes(roomOf(from)));
    assert.deepEqual(wrong, []);
    const upward = IMPORTS.filter(({ from, to }) => roomOf(from) === "system" && floorOf(to) === DATA_PATH_FLOOR);
    assert.deepEqual(upward, []);
  });

  it("keeps core and http1 pure: no sockets, files, clocks or chance", () => {
    // md5, HMAC and AES of a string (its nonce is handed in) and the judgement of an address literal are functions.
    const pure = new Set([
      "core/ketama.ts node:crypto",
      "core/affinity/signed-codec.ts node:crypto",
      "core/affinity/encrypted-codec.ts node:crypto",
      "http1/proxy-header.ts node:net",
    ]);
    const wrong = IMPORTS.filter(
      ({ from, to }) =>
        ["core", "http1"].includes(roomOf(from)) && to.startsWith("node:") && !pure.has(`${from} ${to}`),
    );
    assert.deepEqual(wrong, []);
    for (const file of SOURCES.filter((name) => ["core", "http1"].includes(roomOf(name)))) {
      const code = readFileSync(`src/${file}`, "utf8").replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
      assert.doesNotMatch(code, /Date\.now|new Date|Math\.random|setTimeout|setInterval|process\.|performance\./, file);
    }
  });

  it("reads clock and chance only where they are handed in", () => {
    for (const file of SOURCES.filter((name) =>
      ["proxy", "health", "discovery", "store", "config"].includes(roomOf(name)),
    )) {
      const code = readFileSync(`src/${file}`, "utf8").replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
      assert.doesNotMatch(code, /Date\.now|Math\.random|setTimeout|setInterval|performance\./, file);
    }
  });

  it("has no cycle among the files that import each other when the program runs", () => {
    const next = new Map<string, string[]>();
    for (const { from, to, isType } of IMPORTS) {
      if (!isType && to.endsWith(".ts")) next.set(from, [...(next.get(from) ?? []), to]);
    }
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      assert.ok(!path.includes(file), `cycle: ${[...path, file].join(" -> ")}`);
      if (done.has(file)) return;
      for (const target of next.get(file) ?? []) visit(target, [...path, file]);
      done.add(file);
    };
    for (const file of SOURCES) visit(file, []);
  });

  it("depends on the packages that it names and on no other", () => {
    const { dependencies } = JSON.parse(readFileSync("package.json", "utf8")) as {
      readonly dependencies: Readonly<Record<string, string>>;
    };
    const used = new Set(IMPORTS.map(({ to }) => to).filter((to) => !to.endsWith(".ts") && !to.startsWith("node:")));
    assert.deepEqual([...used].sort(), Object.keys(dependencies).sort());
  });

  it("has no file without a noun, and none too large for one", () => {
    for (const file of SOURCES) {
      assert.doesNotMatch(file, /(?:^|\/)(?:utils?|helpers?|common|types|managers?|services?)\.ts$/);
      assert.ok(readFileSync(`src/${file}`).length < 24 * 1024, `${file} holds more than one noun`);
    }
  });
});
