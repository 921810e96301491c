import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startBlackHole } from "../support/node-process.js";
import { standstill } from "../support/standstill.js";
import { startWire } from "../support/wire.js";

const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 10\r\n\r\n";
const CHUNKED = "POST / HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n\r\n";

for (const sockets of ["fast", "plain"]) {
  const options = { dependencies: { sockets } };

  describe(`a client that goes away, on ${sockets} sockets`, () => {
    it("by a reset while its node works: the node is left, and not blamed", async (t) => {
      const { client, origin, balancer, until } = await startWire(t, {}, options);
      client.send(GET);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      client.reset();
      await node.log.untilEnd();
      await until(
        "all to be given back",
        ({ connections, nodes: [node] }) => connections + node.inFlight + node.connections === 0,
      );
      const { counters, nodes } = balancer.snapshot();
      assert.deepEqual([counters.clientAborts, counters.retries, counters.problems], [1, 0, 0]);
      assert.deepEqual([nodes[0].alive, nodes[0].suspect], [true, false]);
    });

    it("by a reset right behind its request: that is no half-close", async (t) => {
      const { client, until } = await startWire(t, {}, options);
      client.send(GET);
      client.reset();
      await until("the abort", ({ counters, connections }) => counters.clientAborts === 1 && connections === 0);
      await until("the node to be left", ({ nodes }) => nodes[0].inFlight === 0 && nodes[0].connections === 0);
    });

    for (const [name, head, part] of [
      ["a counted body", POST, "half"],
      ["a chunk", CHUNKED, "a\r\nhalf"],
      ["the size of a chunk", CHUNKED, "2\r\nok\r\n1"],
      ["the trailers", CHUNKED, "2\r\nok\r\n0\r\nX: y\r\n"],
    ]) {
      it(`by a FIN inside ${name}: the node sees that it is cut`, async (t) => {
        const { client, origin, balancer } = await startWire(t, {}, options);
        client.send(head + part);
        const node = await origin.accept();
        await node.log.untilText("\r\n\r\n");
        client.end();
        await node.log.untilEnd();
        await client.log.untilClosed();
        assert.ok(!node.text.endsWith("0\r\n\r\n"), "no end is invented");
        assert.equal(client.text, "", "nothing is answered");
        const { counters, nodes } = balancer.snapshot();
        assert.deepEqual([counters.clientAborts, counters.problems, nodes[0].alive], [1, 0, true]);
      });
    }

    it("while it is answered: the node is left", async (t) => {
      const { client, origin, until } = await startWire(t, {}, options);
      client.send(GET);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      node.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbeginning");
      await client.log.untilText("beginning");
      client.reset();
      await node.log.untilEnd();
      await until("the abort", ({ counters, nodes }) => counters.clientAborts === 1 && nodes[0].alive);
    });

    it("while it is behind with reading: the failed write frees the node", async (t) => {
      const wire = await startWire(t, {}, options);
      const { client, origin, until } = wire;
      client.send(GET);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      client.socket.pause();
      node.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
      node.send(Buffer.alloc(20_000_000));
      await standstill(wire, ({ counters }) => counters.bytesOut);
      client.reset();
      await node.log.untilClosed();
      await until("the abort", ({ counters, nodes }) => counters.clientAborts === 1 && nodes[0].inFlight === 0);
    });

    it("while its body is held back by a node that does not read: the node is left", async (t) => {
      const wire = await startWire(t, {}, options);
      const { client, origin, until } = wire;
      client.send("POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 100000000\r\n\r\n");
      const node = await origin.accept();
      node.socket.pause();
      client.send(Buffer.alloc(50_000_000));
      await standstill(wire, ({ counters }) => counters.bytesIn);
      client.reset();
      node.socket.resume();
      await node.log.untilEnd();
      await until("the abort", ({ counters, nodes }) => counters.clientAborts === 1 && nodes[0].inFlight === 0);
    });
  });
}

describe("a client that goes away", () => {
  it("while its node is dialled: the dial is given up and the node not called dead", async (t) => {
    const hole = await startBlackHole(t);
    const { client, until, balancer } = await startWire(t, { nodes: [hole.port] });
    client.send(GET);
    await until("the dial", ({ nodes }) => nodes[0].inFlight === 1);
    client.reset();
    await until(
      "everything to be given back",
      ({ connections, nodes }) => connections === 0 && nodes[0].inFlight === 0,
    );
    const { counters, nodes } = balancer.snapshot();
    assert.deepEqual([counters.clientAborts, counters.dialsFailed, nodes[0].alive], [1, 0, true]);
  });

  it("within a head costs nothing", async (t) => {
    const { client, until, balancer } = await startWire(t);
    client.send("GET / HTTP/1.1\r\nHost");
    await until("the bytes", ({ counters }) => counters.bytesIn > 0);
    client.reset();
    await until("the connection to be gone", ({ connections }) => connections === 0);
    const { counters } = balancer.snapshot();
    assert.deepEqual([counters.requests, counters.clientAborts, counters.problems], [0, 0, 0]);
  });
});
