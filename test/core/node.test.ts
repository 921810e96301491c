import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createNode, hostOf, type NodeAddress, passesChecks } from "../../src/core/node.js";

const nodeAt = (address: NodeAddress) => createNode("n", 0, address, 1);
const tcp = (host: string, port: number) => nodeAt({ kind: "tcp", host, port, basePath: "/base" });

describe("node", () => {
  it("gets traffic without checks, and with them only while they pass", () => {
    const node = tcp("fn", 8080);
    assert.equal(node.check, "off");
    for (const [check, may] of [
      ["off", true],
      ["unknown", false],
      ["passing", true],
      ["failing", false],
    ] as const) {
      node.check = check;
      assert.equal(passesChecks(node), may, check);
    }
  });

  it("is asked for by its host and its port, as a URL has them", () => {
    assert.equal(hostOf(tcp("10.0.0.1", 8080)), "10.0.0.1:8080");
    assert.equal(hostOf(tcp("fn.example", 80)), "fn.example");
    const secure = (port: number) => nodeAt({ kind: "tcp", host: "fn.example", port, basePath: "", tls: true });
    assert.deepEqual([hostOf(secure(443)), hostOf(secure(80))], ["fn.example", "fn.example:80"]);
    assert.equal(hostOf(tcp("::1", 8080)), "[::1]:8080");
    assert.equal(hostOf(nodeAt({ kind: "unix", path: "/run/fn.sock", basePath: "" })), "localhost");
  });
});
