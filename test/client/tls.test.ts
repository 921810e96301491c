import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { request } from "undici";
import type { FallbackRoundTripperOptions } from "../../src/client/fallback-round-tripper.js";
import { NodeClient } from "../../src/client/node-client.js";
import { createNode } from "../../src/core/node.js";
import { systemClock } from "../../src/system/clock.js";
import { createAuthority, type Issued } from "../support/certificates.js";
import { type HasPort, openDispatcher } from "../support/dispatcher.js";
import { turns } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { startTlsOrigin } from "../support/tls-peers.js";

const authority = createAuthority();
const byAddress = authority.issue({ ips: ["127.0.0.1"] });
const byName = authority.issue({ dns: ["localhost"] });
const foreign = authority.issue({ dns: ["functions.example"] });
const TLS = { ca: authority.cert };

const open = (t: TestContext, { port }: HasPort, options: Partial<FallbackRoundTripperOptions>, host = "127.0.0.1") =>
  openDispatcher(t, [], { nodes: `https://${host}:${port}`, pingIntervalMs: 20, ...options });

const ask = async (dispatcher: Parameters<typeof request>[1] & object, host: string) => {
  const { body } = await request(`http://${host}/f`, dispatcher);
  return body.text();
};

describe("a node of a dispatcher in TLS", () => {
  for (const [name, certificate, host] of [
    ["its address", byAddress, "127.0.0.1"],
    ["its name", byName, "localhost"],
  ] as const) {
    it(`is known by ${name}, and one connection serves any Host`, async (t) => {
      const node = await startFunctionNode(t, { name: "a", tls: certificate });
      const { dispatcher } = open(t, node, { tls: TLS }, host);
      for (const asked of ["a.example", "b.example", "c.example"]) {
        assert.match(await ask({ dispatcher }, asked), /"node":"a"/);
        // Until undici has put the connection back.
        await turns(5);
      }
      assert.equal(node.connections, 1);
      const hosts = node.calls.map(({ rawHeaders }) => rawHeaders[1]);
      assert.deepEqual(hosts, ["a.example", "b.example", "c.example"]);
    });
  }

  const refuses = async (t: TestContext, certificate: Issued, options: Partial<FallbackRoundTripperOptions>) => {
    const node = await startFunctionNode(t, { name: "a", tls: certificate });
    const opened = open(t, node, options);
    await assert.rejects(ask({ dispatcher: opened.dispatcher }, "functions.example"), {
      code: "ERR_NO_FALLBACK_NODE_FOUND",
    });
    const { code } = await opened.event("node_dead");
    assert.equal(node.headsSeen, 0, "nothing was sent");
    return code;
  };

  it("is dead when its certificate is not its own, be it that of the Host that is asked for", async (t) => {
    assert.equal(await refuses(t, foreign, { tls: TLS }), "ERR_TLS_CERT_ALTNAME_INVALID");
  });

  it("is dead when nobody that is trusted has signed its certificate", async (t) => {
    assert.match(String(await refuses(t, byAddress, {})), /^(?:UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/);
  });

  it("may be known by a name that is given, or taken for itself unproven", async (t) => {
    const node = await startFunctionNode(t, { name: "a", tls: foreign });
    for (const tls of [{ ...TLS, servername: "functions.example" }, { rejectUnauthorized: false }]) {
      const { dispatcher } = open(t, node, { tls });
      assert.match(await ask({ dispatcher }, "a.example"), /"node":"a"/);
    }
  });

  it("is dead while it speaks none, and is sent nothing in the clear", async (t) => {
    const node = await startRawOrigin(t, answering(ok("in the clear")));
    const { dispatcher } = open(t, node, { tls: TLS });
    await assert.rejects(ask({ dispatcher }, "a.example"), { code: "ERR_NO_FALLBACK_NODE_FOUND" });
    assert.doesNotMatch(node.connections.map(({ text }) => text).join(""), /GET|a\.example/);
  });

  it("is brought back by a whole handshake, and not by a connection alone", async (t) => {
    const good = await startFunctionNode(t, { name: "a", tls: byAddress });
    const bad = await startFunctionNode(t, { name: "b", tls: foreign });
    const clear = await startRawOrigin(t);
    const none = { responseTimeoutMs: 0, bodyIdleTimeoutMs: 0, nodeConnectionsMax: 1 };
    const answers: boolean[] = [];
    for (const { port } of [good, bad, clear]) {
      const address = { kind: "tcp", host: "127.0.0.1", port, basePath: "", tls: true } as const;
      const client = new NodeClient(systemClock, createNode("a", 0, address, 1), {
        ...none,
        connectTimeoutMs: 1000,
        tls: TLS,
      });
      answers.push(await client.ping(port === clear.port ? 20 : 5000, new AbortController().signal));
      await client.close();
    }
    assert.deepEqual(answers, [true, false, false]);
  });

  it("is asked in TLS whether it answers when it is silent", async (t) => {
    const node = await startTlsOrigin(t, byAddress, (peer) => {
      peer.socket.on("data", (chunk: Buffer) => {
        if (chunk.toString().startsWith("OPTIONS * ")) peer.send(ok(""));
      });
    });
    const opened = open(t, node, { tls: TLS, silenceMs: 30 });
    const abort = new AbortController();
    const waiting = ask({ dispatcher: opened.dispatcher, signal: abort.signal }, "a.example");
    await node.accept();
    const question = await node.accept();
    await question.log.untilText("OPTIONS * HTTP/1.1");
    abort.abort();
    await assert.rejects(waiting);
    assert.deepEqual(opened.events, []);
  });
});
