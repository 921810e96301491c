import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readDiscovery } from "../../src/config/discovery.js";
import type { Discovery } from "../../src/discovery/discovery.js";
import { dnsDiscovery } from "../../src/discovery/dns-discovery.js";
import { type DnsServer, startDnsServer } from "../support/dns-server.js";

function discoveryOf(text: string, { openLookup }: Pick<DnsServer, "openLookup">): Discovery {
  const config = readDiscovery({ texts: [text], source: "test" });
  assert.ok(config.kind === "dns" || config.kind === "srv");
  return dnsDiscovery({ openLookup }, config);
}

const never = () => new AbortController().signal;

/** One answer, with the nodes as ids and weights in order. */
async function find(discovery: Discovery, signal = never()) {
  const { nodes, validMs, fault } = await discovery.find(signal);
  const ids = nodes?.map(({ id, weight }) => (weight === 1 ? id : `${id}=${weight}`)).sort();
  return { ids: ids?.join(" "), validMs, fault };
}

describe("nodes from the addresses of a name", () => {
  it("are all of them, of both families, for as long as the first of them holds", async (t) => {
    const server = await startDnsServer(t, {
      "fn.example": { addresses: ["10.0.0.2", "10.0.0.1", "2001:db8::1"], ttlS: 7 },
    });
    assert.deepEqual(await find(discoveryOf("dns:fn.example:9000", server)), {
      ids: "10.0.0.1:9000 10.0.0.2:9000 [2001:db8::1]:9000",
      validMs: 7000,
      fault: undefined,
    });
    assert.deepEqual([...server.questions].sort(), ["A fn.example", "AAAA fn.example"]);
  });

  it("are those of one family where that is asked for", async (t) => {
    const server = await startDnsServer(t, { fn: { addresses: ["10.0.0.1", "2001:db8::1"] } });
    assert.equal((await find(discoveryOf("dns4:fn", server))).ids, "10.0.0.1:8080");
    assert.deepEqual(server.questions, ["A fn"]);
    assert.equal((await find(discoveryOf("dns6:fn", server))).ids, "[2001:db8::1]:8080");
  });

  it("have the port, the weight, the scheme and the base path of what was written", async (t) => {
    const server = await startDnsServer(t, { fn: { addresses: ["10.0.0.1"] } });
    assert.equal((await find(discoveryOf("dns:https://fn/base=3", server))).ids, "https://10.0.0.1:443/base=3");
  });

  it("are none where the name does not exist or has no address, and nobody says for how long", async (t) => {
    const server = await startDnsServer(t, { bare: {} });
    const none = { ids: "", validMs: undefined, fault: undefined };
    assert.deepEqual(await find(discoveryOf("dns:gone.example", server)), none);
    assert.deepEqual(await find(discoveryOf("dns:bare", server)), none);
  });

  it("are asked for each time: an answer with TTL 0 is not used twice", async (t) => {
    const server = await startDnsServer(t, { fn: { addresses: ["10.0.0.1"], ttlS: 0 } });
    const discovery = discoveryOf("dns4:fn", server);
    assert.deepEqual(await find(discovery), { ids: "10.0.0.1:8080", validMs: 0, fault: undefined });
    server.zones.set("fn", { addresses: ["10.0.0.2"], ttlS: 3600 });
    assert.equal((await find(discovery)).ids, "10.0.0.2:8080");
    server.zones.set("fn", { addresses: ["10.0.0.3"], ttlS: 3600 });
    assert.equal((await find(discovery)).ids, "10.0.0.3:8080");
    assert.equal(server.questions.length, 3);
  });

  it("may be a thousand, which no datagram holds", async (t) => {
    const addresses = Array.from({ length: 1000 }, (_, index) => `10.1.${index >> 8}.${index & 255}`);
    const server = await startDnsServer(t, { fn: { addresses } });
    const { ids } = await find(discoveryOf("dns4:fn:80", server));
    assert.equal(
      ids,
      addresses
        .map((address) => `${address}:80`)
        .sort()
        .join(" "),
    );
    assert.equal(server.questionsByTcp, 1);
  });

  it("are not known while the resolver fails", async (t) => {
    const server = await startDnsServer(t, { fn: { addresses: ["10.0.0.1"] } });
    const discovery = discoveryOf("dns:fn", server);
    server.faults.set("all", "fail");
    assert.deepEqual(await find(discovery), { ids: undefined, validMs: undefined, fault: "A fn: ESERVFAIL" });
    server.faults.clear();
    assert.equal((await find(discovery)).ids, "10.0.0.1:8080");
  });

  it("are known of one family when the other cannot be found out: what was known of that stays", async (t) => {
    const server = await startDnsServer(t, { fn: { addresses: ["10.0.0.1", "2001:db8::1"], ttlS: 9 } });
    const discovery = discoveryOf("dns:fn", server);
    server.faults.set("AAAA", "fail");
    const fault = "AAAA fn: ESERVFAIL";
    assert.deepEqual(await find(discovery), { ids: "10.0.0.1:8080", validMs: 9000, fault });
    server.faults.clear();
    assert.equal((await find(discovery)).ids, "10.0.0.1:8080 [2001:db8::1]:8080");
    server.faults.set("AAAA", "fail");
    server.zones.set("fn", { addresses: ["10.0.0.2"], ttlS: 9 });
    assert.deepEqual(await find(discovery), { ids: "10.0.0.2:8080 [2001:db8::1]:8080", validMs: 9000, fault });
    assert.equal((await find(discovery)).ids, "10.0.0.2:8080 [2001:db8::1]:8080", "and stays as long as it fails");
  });

  it("are not none because one family has none and the other cannot be found out", async (t) => {
    const server = await startDnsServer(t, { fn: { addresses: ["10.0.0.1"] } });
    server.faults.set("A", "fail");
    assert.deepEqual(await find(discoveryOf("dns:fn", server)), {
      ids: undefined,
      validMs: undefined,
      fault: "A fn: ESERVFAIL",
    });
  });

  it("are given up when the signal aborts, though nobody answers", async (t) => {
    const server = await startDnsServer(t);
    server.faults.set("all", "silent");
    const stop = new AbortController();
    const finding = find(discoveryOf("dns:fn", server), stop.signal);
    stop.abort();
    assert.match((await finding).fault ?? "", /^A fn: ECANCELLED$/);
  });
});

describe("nodes from a service", () => {
  it("are the addresses of its targets, each at its port", async (t) => {
    const server = await startDnsServer(t, {
      "_http._tcp.fn": {
        services: [
          ["a.fn", 9001],
          ["B.fn", 9002],
          ["gone.fn", 9003],
        ],
        ttlS: 100,
      },
      "a.fn": { addresses: ["10.0.0.1", "2001:db8::1"], ttlS: 20 },
      "b.fn": { addresses: ["10.0.0.2"], ttlS: 10 },
    });
    assert.deepEqual(await find(discoveryOf("srv:_http._tcp.fn", server)), {
      ids: "10.0.0.1:9001 10.0.0.2:9002 [2001:db8::1]:9001",
      validMs: 10_000,
      fault: undefined,
    });
  });

  it("are those of the lowest priority number, by their weights, and of the next only when it has none", async (t) => {
    const server = await startDnsServer(t, {
      svc: {
        services: [
          ["a.fn", 80, 1, 10],
          ["b.fn", 80, 1, 30],
          ["c.fn", 80, 2, 5],
        ],
      },
      "a.fn": { addresses: ["10.0.0.1"] },
      "b.fn": { addresses: ["10.0.0.2"] },
      "c.fn": { addresses: ["10.0.0.3"] },
    });
    const discovery = discoveryOf("srv4:svc", server);
    assert.equal((await find(discovery)).ids, "10.0.0.1:80=0.33 10.0.0.2:80");
    assert.ok(!server.questions.includes("A c.fn"));
    server.zones.delete("a.fn");
    server.zones.delete("b.fn");
    assert.equal((await find(discovery)).ids, "10.0.0.3:80");
  });

  it("are not those of the next priority because nobody says where the first ones are", async (t) => {
    const server = await startDnsServer(t, {
      svc: {
        services: [
          ["a.fn", 80, 1],
          ["c.fn", 80, 2],
        ],
      },
      "c.fn": { addresses: ["10.0.0.3"] },
    });
    server.faults.set("A", "fail");
    assert.deepEqual(await find(discoveryOf("srv4:svc", server)), {
      ids: undefined,
      validMs: undefined,
      fault: "A a.fn: ESERVFAIL",
    });
  });

  it("are what was known of targets that nobody says anything of, and forgotten with their targets", async (t) => {
    const server = await startDnsServer(t, {
      svc: {
        services: [
          ["a.fn", 80],
          ["b.fn", 80],
        ],
      },
      "a.fn": { addresses: ["10.0.0.1"] },
      "b.fn": { addresses: ["10.0.0.2"] },
    });
    const discovery = discoveryOf("srv4:svc", server);
    await find(discovery);
    server.faults.set("A", "fail");
    assert.deepEqual(await find(discovery), {
      ids: "10.0.0.1:80 10.0.0.2:80",
      validMs: undefined,
      fault: "A a.fn: ESERVFAIL",
    });
    server.zones.set("svc", { services: [["a.fn", 80]] });
    assert.equal((await find(discovery)).ids, "10.0.0.1:80");
    server.zones.set("svc", { services: [["b.fn", 80]] });
    assert.equal((await find(discovery)).ids, undefined, "of b.fn nothing is known any more");
  });

  it("are none where there is no service, and not known where nobody says", async (t) => {
    const server = await startDnsServer(t);
    const discovery = discoveryOf("srv:svc", server);
    assert.deepEqual(await find(discovery), { ids: "", validMs: undefined, fault: undefined });
    server.faults.set("SRV", "fail");
    assert.deepEqual(await find(discovery), { ids: undefined, validMs: undefined, fault: "SRV svc: ESERVFAIL" });
  });

  it("may be hundreds, whose addresses are not all asked for at once", async (t) => {
    const names = Array.from({ length: 300 }, (_, index) => `pod-${index}.fn`);
    const server = await startDnsServer(t, {
      svc: { services: names.map((name) => [name, 80] as const) },
      ...Object.fromEntries(names.map((name, index) => [name, { addresses: [`10.2.${index >> 8}.${index & 255}`] }])),
    });
    const { ids, fault } = await find(discoveryOf("srv4:svc", server));
    assert.equal(fault, undefined);
    assert.equal(ids?.split(" ").length, 300);
  });
});
