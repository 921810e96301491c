import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parseListenAddress } from "../../src/config/listen-address.js";
import { OPTIONS } from "../../src/config/options.js";
import { ROOT } from "../support/program.js";

const DOCKERFILE = readFileSync(join(ROOT, "docker/Dockerfile"), "utf8");
/** What npm publishes whether or not package.json lists it. */
const ALWAYS_PUBLISHED = ["package.json", "README.md", "LICENSE"];
/** What `npm run build` reads and makes. */
const BUILT_FROM = ["src", "tsconfig.json"];
const BUILT = "dist";

function linesOf(instruction: string): string[] {
  return DOCKERFILE.replaceAll("\\\n", " ")
    .split("\n")
    .filter((line) => line.startsWith(`${instruction} `))
    .map((line) => line.slice(instruction.length + 1));
}

describe("the image", () => {
  it("has everything that npm publishes, whatever package.json comes to list", () => {
    const { files } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { readonly files: string[] };
    const ignore = readFileSync(join(ROOT, ".dockerignore"), "utf8").split("\n");
    assert.ok(ignore.includes("*"), "what is not named stays out");
    const wanted = [...files, ...ALWAYS_PUBLISHED, ...BUILT_FROM].map((path) => path.split("/")[0]);
    for (const path of wanted.filter((name) => name !== BUILT)) assert.ok(ignore.includes(`!${path}`), path);
    const [build, run] = DOCKERFILE.split(/^FROM .*$/m).slice(1);
    assert.match(build, /^COPY \. \.$/m);
    assert.match(build, /npm run build && npm pack /);
    assert.match(build, /tar -xzf \S+ -C \/package --strip-components=1/);
    assert.match(run, /^COPY --from=build \/package \.\/$/m);
    assert.match(run, /^COPY --from=build \/build\/node_modules node_modules$/m);
    assert.deepEqual(run.match(/^COPY (?!--from=build)/gm) ?? [], [], "nothing comes around the package");
  });

  it("leads to the ports that the documentation uses", () => {
    const [exposed] = linesOf("EXPOSE");
    const listen = parseListenAddress(OPTIONS.listen.default);
    assert.equal(exposed, `${listen?.kind === "tcp" && listen.port} 9081`);
  });

  it("is asked for its health and told to end without a shell in between, as nobody's root", () => {
    assert.deepEqual(JSON.parse(linesOf("ENTRYPOINT")[0]), ["node", "bin/fnlb.js"]);
    const [check] = linesOf("HEALTHCHECK");
    assert.deepEqual(JSON.parse(check.slice(check.indexOf("["))), ["node", "bin/fnlb.js", "healthcheck"]);
    const [user] = linesOf("USER");
    assert.match(user, /^[1-9]\d*:[1-9]\d*$/);
  });
});
