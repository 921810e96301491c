import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startExchange } from "../support/exchange.js";
import { ok } from "../support/raw-origin.js";
import { assertProblem } from "../support/wire.js";

const EARLY = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";

describe("an interim response", () => {
  it("of 100 that nobody asked for is swallowed, however often", async (t) => {
    const { client, node } = await startExchange(t);
    node.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100\r\nX: y\r\n\r\n".repeat(20) + ok("answer"));
    await client.log.untilText("answer");
    assert.equal(client.text, ok("answer"));
  });

  it("of 103 is relayed at once, without the fields of its hop", async (t) => {
    const { client, node, balancer } = await startExchange(t);
    node.send(EARLY.replace("Link", "Connection: x\r\nX: hop\r\nLink"));
    await client.log.untilLength(EARLY.length);
    assert.equal(client.text, EARLY);
    node.send(ok("answer"));
    await client.log.untilText("answer");
    assert.equal(client.text, EARLY + ok("answer"));
    assert.equal(balancer.snapshot().counters.responses1xx, 1);
  });

  it("of 102 and of a number that is not known are relayed too", async (t) => {
    const { client, node } = await startExchange(t);
    node.send(`HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 What\r\n\r\n${ok("answer")}`);
    await client.log.untilText("answer");
    assert.equal(client.text, `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 What\r\n\r\n${ok("answer")}`);
  });

  it("has no body, whatever it says", async (t) => {
    const { client, node } = await startExchange(t);
    node.send(EARLY.replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\n") + ok("answer"));
    await client.log.untilText("answer");
    assert.equal(client.text, EARLY + ok("answer"));
  });

  it("is relayed ten times for one request, and no more", async (t) => {
    const { client, node, balancer } = await startExchange(t);
    node.send(EARLY.repeat(12) + ok("answer"));
    const response = await client.response();
    assert.equal(response.interims.length, 10);
    const { counters } = balancer.snapshot();
    assert.deepEqual([counters.responses1xx, counters.interimResponsesDropped], [10, 2]);
    client.send("GET / HTTP/1.1\r\nHost: fn\r\n\r\n");
    await node.log.until("the next request", () => (node.text.split("\r\n\r\n").length > 2 ? true : undefined));
    node.send(EARLY + ok("next"));
    assert.equal((await client.response()).interims.length, 1, "the next request may have its own");
  });

  it("of 101 that nobody asked for is a bad response", async (t) => {
    const { client, node } = await startExchange(t);
    node.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello");
    assertProblem(await client.response(), 502, "ERR_BAD_RESPONSE");
    await node.log.untilEnd();
  });

  it("that is malformed is a bad response", async (t) => {
    const { client, node } = await startExchange(t);
    node.send(`HTTP/1.1 103 Early\r\nLink : x\r\n\r\n${ok("answer")}`);
    assertProblem(await client.response(), 502, "ERR_BAD_RESPONSE");
  });
});
