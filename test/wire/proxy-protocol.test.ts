import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { eventually, FakeClock } from "../support/fake-clock.js";
import { orderOf } from "../support/paths.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { startWire, VIA, type WireConfig, type WireOptions } from "../support/wire.js";

const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";
const SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";

/** A version 2 header from its command byte, family byte and payload. */
function v2(command: number, family: number, payload: readonly number[]): string {
  const length = String.fromCharCode(payload.length >> 8, payload.length & 255);
  return `${SIGNATURE}${String.fromCharCode(command, family)}${length}${String.fromCharCode(...payload)}`;
}
const INET = [1, 2, 3, 4, 5, 6, 7, 8, 0x03, 0xe8, 0x01, 0xbb];
const INET6 = [
  0x20,
  1,
  0x0d,
  0xb8,
  ...Array(11).fill(0),
  1,
  0x20,
  1,
  0x0d,
  0xb8,
  ...Array(11).fill(0),
  2,
  3,
  0xe8,
  1,
  0xbb,
];

const proxied = (config: WireConfig = {}): WireConfig => ({
  listeners: [{ address: { kind: "tcp", host: "127.0.0.1", port: 0 }, proxyProtocol: true }],
  trustedProxies: ["127.0.0.1"],
  ...config,
});

function start(t: TestContext, config: WireConfig = {}, options: WireOptions = {}) {
  return startWire(t, proxied(config), { onConnection: answering(ok("answer")), ...options });
}

/** The forwarding lines of a request of that client. `peer` stands for the connection's own address and port. */
function lines(address: string, port: number): string {
  return `X-Forwarded-For: ${address}\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: fn\r\nX-Forwarded-Port: ${port}\r\n`;
}

const GOOD: readonly (readonly [name: string, header: string, address: string, port: number])[] = [
  ["version 1 with IPv4", "PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\n", "1.2.3.4", 443],
  ["version 1 with IPv6", "PROXY TCP6 2001:db8::1 ::2 1000 443\r\n", "2001:db8::1", 443],
  ["version 1 with the highest ports", "PROXY TCP4 255.255.255.255 0.0.0.0 65535 65535\r\n", "255.255.255.255", 65_535],
  [
    "version 1 at its longest",
    "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    65_535,
  ],
  ["version 1 of an unknown family", "PROXY UNKNOWN\r\n", "", 0],
  ["version 1 of an unknown family with addresses", `PROXY UNKNOWN ${"f".repeat(91)}\r\n`, "", 0],
  ["version 2 with IPv4", v2(0x21, 0x11, INET), "1.2.3.4", 443],
  ["version 2 with IPv6", v2(0x21, 0x21, INET6), "2001:db8::1", 443],
  ["version 2 with extensions", v2(0x21, 0x11, [...INET, 0x04, 0, 1, 0, 0x20, 0, 2, 9, 9]), "1.2.3.4", 443],
  ["version 2 of 4096 bytes", v2(0x21, 0x11, [...INET, ...Array(4084).fill(0)]), "1.2.3.4", 443],
  ["version 2 LOCAL", v2(0x20, 0x00, []), "", 0],
  ["version 2 LOCAL with addresses, which do not count", v2(0x20, 0x11, INET), "", 0],
  ["version 2 of no family", v2(0x21, 0x00, [1, 2, 3]), "", 0],
  ["version 2 of a unix socket", v2(0x21, 0x31, Array(216).fill(0)), "", 0],
  ["version 2 of UDP", v2(0x21, 0x12, INET), "", 0],
];

const BAD: readonly (readonly [name: string, header: string])[] = [
  ["no header", GET],
  ["version 1 in lower case", "proxy TCP4 1.2.3.4 5.6.7.8 1000 443\r\n"],
  ["version 1 of another protocol", "PROXY UDP4 1.2.3.4 5.6.7.8 1000 443\r\n"],
  ["version 1 with too few words", "PROXY TCP4 1.2.3.4 5.6.7.8 1000\r\n"],
  ["version 1 with too many words", "PROXY TCP4 1.2.3.4 5.6.7.8 1000 443 x\r\n"],
  ["version 1 with two blanks", "PROXY TCP4  1.2.3.4 5.6.7.8 1000 443\r\n"],
  ["version 1 with the other family's address", "PROXY TCP4 ::1 5.6.7.8 1000 443\r\n"],
  ["version 1 with a name", "PROXY TCP4 client 5.6.7.8 1000 443\r\n"],
  ["version 1 with a bad address", "PROXY TCP4 1.2.3.256 5.6.7.8 1000 443\r\n"],
  ["version 1 with a leading zero", "PROXY TCP4 1.2.3.4 5.6.7.8 01000 443\r\n"],
  ["version 1 with a port above 65535", "PROXY TCP4 1.2.3.4 5.6.7.8 65536 443\r\n"],
  ["version 1 with a signed port", "PROXY TCP4 1.2.3.4 5.6.7.8 -1 443\r\n"],
  ["version 1 with a bare LF", `PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\n${GET}`.padEnd(200, "x")],
  ["version 1 that does not end in 107 bytes", `PROXY UNKNOWN ${"f".repeat(92)}\r\n`],
  ["version 2 of another version", v2(0x11, 0x11, INET)],
  ["version 2 with an unknown command", v2(0x22, 0x11, INET)],
  ["version 2 with an unknown family", v2(0x21, 0x41, INET)],
  ["version 2 too short for IPv4", v2(0x21, 0x11, INET.slice(1))],
  ["version 2 too short for IPv6", v2(0x21, 0x21, INET6.slice(1))],
  ["version 2 of more than 4096 bytes", v2(0x21, 0x11, Array(4097).fill(0))],
  ["a broken signature", `${SIGNATURE.slice(0, -1)}x${"\0".repeat(16)}`],
];

describe("the PROXY protocol", () => {
  for (const [name, header, address, port] of GOOD) {
    it(`${name} tells the client's address`, async (t) => {
      const { client, origin, port: own } = await start(t);
      client.send(header + GET);
      assert.equal((await client.response()).status, 200);
      const expected = lines(address || "127.0.0.1", port || own);
      assert.equal(origin.connections[0].text, `GET / HTTP/1.1\r\nHost: fn\r\n${expected}Via: 1.1 ${VIA}\r\n\r\n`);
      client.send(GET);
      await client.response();
      assert.equal(origin.connections[0].text.split(expected).length, 3, "for every request of the connection");
    });
  }

  for (const [name, header] of BAD) {
    it(`${name} ends the connection without an answer`, async (t) => {
      const { client, origin, balancer } = await start(t);
      client.send(header);
      await client.log.untilEnd();
      assert.equal(client.text, "");
      const { counters } = balancer.snapshot();
      assert.deepEqual([counters.connectionsRefusedByProxyHeader, counters.requests], [1, 0]);
      assert.equal(origin.connections.length, 0);
    });
  }

  for (const [name, header, address, port] of GOOD.filter(([, header]) => header.length < 130)) {
    it(`${name} may come split at any byte`, async (t) => {
      const { port: own, origin, balancer } = await start(t);
      let bytesIn = 0;
      let requests = 0;
      for (let at = 1; at < header.length; at++) {
        const client = await connectClient(t, own);
        client.send(header.slice(0, at));
        bytesIn += at;
        await eventually(() => balancer.snapshot().counters.bytesIn === bytesIn);
        client.send(header.slice(at) + GET);
        bytesIn += header.length - at + GET.length;
        assert.equal((await client.response()).status, 200);
        requests++;
        client.destroy();
      }
      const seen = origin.connections.map(({ text }) => text).join("");
      assert.equal(seen.split(lines(address || "127.0.0.1", port || own)).length - 1, requests);
    });
  }

  it("may come byte by byte", async (t) => {
    const { client, balancer } = await start(t);
    let bytesIn = 0;
    for (const byte of v2(0x21, 0x21, INET6) + GET.slice(0, -1)) {
      client.send(byte);
      bytesIn++;
      await eventually(() => balancer.snapshot().counters.bytesIn === bytesIn);
    }
    assert.equal((await client.ask("\n")).status, 200);
  });

  it("may bring pipelined requests along", async (t) => {
    const { client } = await start(t);
    client.send(v2(0x21, 0x11, INET) + GET.repeat(3));
    for (let number = 0; number < 3; number++) assert.equal((await client.response()).status, 200);
  });

  it("is believed of trusted peers only: others are not served on that listener", async (t) => {
    const { client, origin, balancer } = await start(t, { trustedProxies: ["10.0.0.0/8"] });
    client.send(`PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\n${GET}`);
    await client.log.untilEnd();
    assert.equal(client.text, "");
    const { counters } = balancer.snapshot();
    assert.deepEqual([counters.connectionsRefusedByProxyHeader, origin.connections.length], [1, 0]);
  });

  it("is not spoken where it was not asked for, not even with trusted peers", async (t) => {
    const { client } = await startWire(t, { trustedProxies: ["127.0.0.1"] });
    const response = await client.ask(`PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\n${GET}`);
    assert.equal(response.status, 400);
  });

  it("has to come within the head timeout", async (t) => {
    const clock = new FakeClock();
    const { client, balancer, until } = await start(t, {}, { dependencies: { clock } });
    client.send("PROXY ");
    await until("the bytes", ({ counters }) => counters.bytesIn === 6);
    await clock.advance(10_100);
    await client.log.untilEnd();
    assert.equal(client.text, "");
    assert.equal(balancer.snapshot().counters.headTimeouts, 1);
  });

  it("decides whose word on forwarding counts: the client's address, not the proxy's", async (t) => {
    const { client, origin } = await start(t);
    const sent = GET.replace("\r\n\r\n", "\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n");
    await client.ask(`PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\n${sent}`);
    assert.ok(origin.connections[0].text.includes("X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\nX-Forwarded-Proto: http\r\n"));
  });

  it("gives the key client", async (t) => {
    const origins = await Promise.all(["a", "b", "c"].map((name) => startRawOrigin(t, answering(ok(name)))));
    const wire = await startWire(
      t,
      proxied({ nodes: origins.map((origin) => origin.port), key: [{ kind: "client" }] }),
    );
    const homes = new Set<number>();
    for (let last = 1; last <= 20; last++) {
      const address = `10.0.0.${last}`;
      const home = wire.config.nodes.findIndex(({ id }) => id === orderOf(wire.config.nodes, address)[0]);
      homes.add(home);
      const client = await connectClient(t, wire.port);
      const response = await client.ask(`PROXY TCP4 ${address} 5.6.7.8 1000 443\r\n${GET}`);
      assert.equal(response.body.toString(), "abc"[home], address);
    }
    assert.equal(homes.size, 3);
  });

  it("is what connections per client are counted by, not the proxy in front", async (t) => {
    const { port, balancer, until } = await start(t, { connectionsPerClientMax: 1 });
    const from = async (address: string) => {
      const client = await connectClient(t, port);
      client.send(`PROXY TCP4 ${address} 5.6.7.8 1000 443\r\n${GET}`);
      return { client, response: await client.response() };
    };
    const first = await from("1.2.3.4");
    const other = await from("1.2.3.5");
    const second = await from("1.2.3.4");
    assert.deepEqual([first.response.status, other.response.status, second.response.status], [200, 200, 429]);
    assert.equal(second.response.json().code, "ERR_CLIENT_LIMIT");
    assert.equal(balancer.snapshot().counters.connectionsRefusedByClientLimit, 1);
    for (const { client } of [first, second]) client.destroy();
    // The one that is left, and the one that has sent nothing yet.
    await until("both to be gone", ({ connections }) => connections === 2);
    assert.equal((await from("1.2.3.4")).response.status, 200);
  });
});
