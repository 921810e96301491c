import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pathThrough } from "../support/paths.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { assertForwarded, startWire, type WireConfig } from "../support/wire.js";

const HEAD = "GET / HTTP/1.1\r\nHost: fn\r\n";
const SENT = "X-Request-Id: mine\r\n";
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const TRUSTED = { trustedProxies: ["127.0.0.1"] };

/** The ids that a node sees when a client sends these requests. */
async function idsSeen(t: Parameters<typeof startWire>[0], config: WireConfig, requests: readonly string[]) {
  const { client, origin } = await startWire(t, config, { onConnection: answering(ok("answer")) });
  for (const request of requests) await client.ask(request);
  return [...origin.connections[0].text.matchAll(/x-request-id: (.*)\r\n/gi)].map(([, id]) => id);
}

describe("X-Request-Id", () => {
  it("is neither set nor touched when it is not asked for", async (t) => {
    const wire = await startWire(t);
    await assertForwarded(wire, `${HEAD}${SENT}\r\n`, HEAD + SENT + wire.added());
  });

  it("is set anew for each request when it is asked for", async (t) => {
    const ids = await idsSeen(t, { requestId: true }, [`${HEAD}\r\n`, `${HEAD}\r\n`, `${HEAD}\r\n`]);
    assert.equal(new Set(ids).size, 3);
    for (const id of ids) assert.match(id, UUID);
  });

  it("of a peer that is not trusted is replaced, all of them", async (t) => {
    const ids = await idsSeen(t, { requestId: true }, [`${HEAD}${SENT}x-request-ID: other\r\n\r\n`]);
    assert.equal(ids.length, 1);
    assert.match(ids[0], UUID);
  });

  it("of a trusted peer is kept", async (t) => {
    const wire = await startWire(t, { ...TRUSTED, requestId: true });
    await assertForwarded(wire, `${HEAD}${SENT}\r\n`, HEAD + SENT + wire.added());
  });

  it("is set for a trusted peer that sends none", async (t) => {
    const [id] = await idsSeen(t, { ...TRUSTED, requestId: true }, [`${HEAD}\r\n`]);
    assert.match(id, UUID);
  });

  it("is the same at every node that a request is sent to", async (t) => {
    const second = await startRawOrigin(t, answering(ok("answer")));
    const first = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.destroy()));
    const { client, config } = await startWire(t, { nodes: [first.port, second.port], requestId: true });
    const path = pathThrough(config.nodes, [`127.0.0.1:${first.port}`]);
    await client.ask(`GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`);
    assert.match(second.connections[0].text, /X-Request-Id: /);
    assert.equal(second.connections[0].text, first.connections[0].text);
  });
});
