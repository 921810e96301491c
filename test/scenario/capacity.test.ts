import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startBalancer } from "../support/balancer.js";
import { startFunctionNode } from "../support/function-node.js";
import { orderOf, pathsOf } from "../support/paths.js";
import { ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawPeer } from "../support/raw-peer.js";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`;

describe("capacity", () => {
  it("spills along the ring from a node at its connection limit, and comes home again", async (t) => {
    const full = await startRawOrigin(t);
    const other = await startFunctionNode(t, { name: "other" });
    const { port, config } = await startBalancer(t, { nodes: [full.port, other.port], nodeConnectionsMax: 2 });
    const [path] = pathsOf(config.nodes, `127.0.0.1:${full.port}`, 1);
    const clients = await Promise.all([1, 2, 3].map(() => connectClient(t, port)));
    const peers: RawPeer[] = [];
    for (const client of clients.slice(0, 2)) {
      client.send(get(path));
      peers.push(await full.accept());
    }
    assert.equal((await clients[2].ask(get(path))).json().node, "other");
    for (const peer of peers) peer.send(ok("home"));
    for (const client of clients.slice(0, 2)) assert.equal((await client.response()).body.toString(), "home");
    clients[2].send(get(path));
    await peers[1].log.until("the call at home", () =>
      peers[1].text.split("GET").length === 3 || peers[0].text.split("GET").length === 3 ? true : undefined,
    );
  });

  it("answers 503 with Retry-After when every node is at its limit, and counts it", async (t) => {
    const full = await startRawOrigin(t);
    const { port, balancer } = await startBalancer(t, { nodes: [full.port], nodeConnectionsMax: 1 });
    const first = await connectClient(t, port);
    first.send(get("/f"));
    const peer = await full.accept();
    const second = await connectClient(t, port);
    const response = await second.ask(get("/f"));
    assert.deepEqual(
      [response.status, response.header("retry-after"), response.json().code],
      [503, "1", "ERR_AT_CAPACITY"],
    );
    assert.equal(balancer.snapshot().counters.requestsRefusedAtNodeLimit, 1);
    peer.send(ok("first"));
    assert.equal((await first.response()).body.toString(), "first");
    second.send(get("/f"));
    await peer.log.until("the second call", () => (peer.text.split("GET").length === 3 ? true : undefined));
  });

  it("lets a hot key overflow to its next node above eight at once, and no earlier", async (t) => {
    const origins = await Promise.all([startRawOrigin(t), startRawOrigin(t), startRawOrigin(t)]);
    const { port, config, until, balancer } = await startBalancer(t, {
      nodes: origins.map((origin) => origin.port),
      silenceMs: 0,
    });
    const order = orderOf(config.nodes, "/hot").map((id) =>
      origins.findIndex((origin) => id.endsWith(`:${origin.port}`)),
    );
    for (let number = 1; number <= 12; number++) {
      const client = await connectClient(t, port);
      client.send(get("/hot"));
      await until(`call ${number}`, ({ counters }) => counters.attempts === number);
    }
    const inFlight = balancer.snapshot().nodes.map((node) => node.inFlight);
    assert.deepEqual(
      order.map((index) => inFlight[index]),
      [8, 4, 0],
    );
  });

  it("takes a node of weight 0 out of the choice, and answers 503 when no other is left", async (t) => {
    const node = await startFunctionNode(t, { name: "idle" });
    const drained = {
      id: node.address,
      address: { kind: "tcp" as const, host: "127.0.0.1", port: node.port, basePath: "" },
      weight: 0,
    };
    const { port } = await startBalancer(t, { nodes: [drained] });
    const client = await connectClient(t, port);
    const response = await client.ask(get("/f"));
    assert.deepEqual([response.status, response.json().code], [503, "ERR_NO_ACTIVE_NODE"]);
    assert.equal(node.headsSeen, 0);
  });
});
