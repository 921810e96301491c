import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { assertForwarded, assertProblem, assertRefused, startWire, VIA } from "../support/wire.js";

const HEAD = "GET / HTTP/1.1\r\nHost: fn\r\n";

describe("Via", () => {
  for (const [name, lines] of [
    ["is added", ""],
    ["is added behind those of others", "Via: 1.0 fred, 1.1 p.example.net\r\nvia: 2 third (comment)\r\n"],
    ["may carry this balancer once: it may have two listeners in a chain", `Via: 1.1 ${VIA}\r\n`],
    ["may carry other balancers more than twice", "Via: 1.1 fnlb-1, 1.1 fnlb-1, 1.1 fnlb-1\r\n"],
    ["is not fooled by a comment", `Via: 1.1 ${VIA}, 1.1 x (1.1 ${VIA})\r\n`],
  ]) {
    it(name, async (t) => {
      const wire = await startWire(t);
      await assertForwarded(wire, `${HEAD}${lines}\r\n`, HEAD + lines + wire.added());
    });
  }

  for (const [name, lines] of [
    ["in one list", `Via: 1.1 ${VIA}, 1.0 other, 1.1 ${VIA}\r\n`],
    ["in two fields", `Via: 1.1 ${VIA}\r\nX: y\r\nVIA: 1.1 ${VIA.toUpperCase()}\r\n`],
    ["with comments and protocol names", `Via: HTTP/1.1 ${VIA} (a),1.1\t${VIA}\r\n`],
    ["three times", `Via: 1.1 ${VIA},1.1 ${VIA},1.1 ${VIA}\r\n`],
  ]) {
    it(`that carries this balancer twice is a loop: ${name}`, async (t) => {
      await assertRefused(await startWire(t), `${HEAD}${lines}\r\n`, 508, "ERR_LOOP");
    });
  }

  it("ends a loop of the balancer into itself", async (t) => {
    const path = join(tmpdir(), `fnlb-loop-${process.pid}.sock`);
    const { client, balancer } = await startWire(t, {
      listeners: [
        { address: { kind: "tcp", host: "127.0.0.1", port: 0 }, proxyProtocol: false },
        { address: { kind: "unix", path }, proxyProtocol: false },
      ],
      nodes: [{ id: `unix:${path}`, address: { kind: "unix", path, basePath: "" }, weight: 1 }],
    });
    client.send(`${HEAD}\r\n`);
    assertProblem(await client.response(), 508, "ERR_LOOP");
    assert.equal(balancer.snapshot().counters.attempts, 2);
  });
});
