import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { startBalancer } from "../support/balancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { startFunctionNodes } from "../support/function-node.js";
import { startBlackHole } from "../support/node-process.js";
import { pathThrough } from "../support/paths.js";
import { answering, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`;

describe("what the original did wrong", () => {
  it("FA19: a node that dies while the ping of another hangs stays dead when that ping ends", async (t) => {
    const clock = new FakeClock();
    const hole = await startBlackHole(t);
    const [other, third] = await startFunctionNodes(t, 2);
    const nodes = [hole.port, other.port, third.port];
    const { port, config, event, until, balancer } = await startBalancer(t, { nodes }, { clock });
    const client = await connectClient(t, port);
    client.send(get(pathThrough(config.nodes, [`127.0.0.1:${hole.port}`, third.address])));
    await until("the dial", ({ nodes: [node] }) => node.inFlight === 1);
    await clock.advance(2100);
    assert.equal((await client.response()).status, 200);
    await event("node_dead");
    const before = balancer.snapshot().counters.pings;
    // The interval of a second and a fifth of it: the ping of the hole is under way, and hangs for a second.
    while (balancer.snapshot().counters.pings === before) await clock.advance(100);

    await other.stop();
    const toOther = pathThrough(config.nodes, [other.address, third.address]);
    assert.equal((await client.ask(get(toOther))).json().node, third.name);
    assert.equal((await event("node_dead")).node, other.address);
    const { dials } = balancer.snapshot().counters;
    await clock.advance(1500);
    assert.deepEqual(
      balancer.snapshot().nodes.map(({ alive }) => alive),
      [false, false, true],
    );
    assert.equal((await client.ask(get(toOther))).json().node, third.name);
    assert.equal(balancer.snapshot().counters.dials, dials, "nobody has to learn it again");
  });

  it("FA22: a coded body passes as the node has coded it, and nobody asks for a coding of his own accord", async (t) => {
    const coded = gzipSync("as it was");
    const head = `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\nContent-Length: ${coded.length}\r\n\r\n`;
    const origin = await startRawOrigin(t, answering(Buffer.concat([Buffer.from(head), coded])));
    const { port } = await startBalancer(t, { nodes: [origin.port] });
    const client = await connectClient(t, port);
    const response = await client.ask(get("/f"));
    assert.deepEqual([response.header("content-encoding"), response.header("vary")], ["gzip", "Accept-Encoding"]);
    assert.equal(gunzipSync(response.body).toString(), "as it was");
    assert.doesNotMatch(origin.connections[0].text, /accept-encoding/i);
  });
});
