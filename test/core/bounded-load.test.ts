import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadCap, measureLoad } from "../../src/core/policies/bounded-load.js";
import { ringHash } from "../../src/core/policies/ring-hash.js";
import { addresses, exchangeOf, nodesOf, untried } from "./small-cluster.js";

describe("load cap", () => {
  it("is the balance factor over the mean load, with the exchange that is about to start", () => {
    assert.equal(loadCap({ inFlight: 59, weight: 3 }, 1, 1.5), 30);
    assert.equal(loadCap({ inFlight: 60, weight: 3 }, 1, 1.5), 31);
  });

  it("follows the weight of the node", () => {
    assert.equal(loadCap({ inFlight: 99, weight: 4 }, 3, 1.2), 90);
    assert.equal(loadCap({ inFlight: 99, weight: 4 }, 1, 1.2), 30);
  });

  it("never falls below eight", () => {
    assert.equal(loadCap({ inFlight: 0, weight: 100 }, 1, 1.5), 8);
  });

  it("counts load and weight of the eligible nodes: what a dead node still holds loosens nobody's bound", () => {
    const nodes = nodesOf(addresses(3), 2);
    for (const node of nodes) node.inFlight = 5;
    const load = { inFlight: -1, weight: -1 };
    measureLoad(load, nodes, exchangeOf("/"), (node) => node !== nodes[0]);
    assert.deepEqual(load, { inFlight: 10, weight: 4 });
  });
});

describe("ring hash with bounded load", () => {
  function hotKey(balanceFactor: number) {
    const nodes = nodesOf(addresses(3));
    const ring = ringHash({ balanceFactor });
    ring.update(nodes);
    const exchange = exchangeOf("/f/hot");
    const [home, second, third] = ring.order(exchange.keyHash);
    return { ring, exchange, home, second, third };
  }

  it("keeps a key on its node below eight at once, however idle the others are", () => {
    const { ring, exchange, home } = hotKey(1);
    for (home.inFlight = 0; home.inFlight < 8; home.inFlight++) assert.equal(ring.pick(exchange, untried), home);
  });

  it("lets a hot key overflow along the ring, and brings it home again", () => {
    const { ring, exchange, home, second, third } = hotKey(1.25);
    home.inFlight = 8;
    assert.equal(ring.pick(exchange, untried), second);
    second.inFlight = 8;
    assert.equal(ring.pick(exchange, untried), third);
    home.inFlight = 7;
    assert.equal(ring.pick(exchange, untried), home);
  });

  it("lets every node hold more as the load grows", () => {
    const { ring, exchange, home, second, third } = hotKey(1.25);
    second.inFlight = 12;
    third.inFlight = 6;
    // A quarter over the mean of 32 or 33 at once: each may hold 14.
    home.inFlight = 13;
    assert.equal(ring.pick(exchange, untried), home);
    home.inFlight = 14;
    assert.equal(ring.pick(exchange, untried), second);
  });

  it("splits the load among the eligible nodes only", () => {
    const { ring, exchange, home, second } = hotKey(1.5);
    home.inFlight = 29;
    second.inFlight = 10;
    assert.equal(ring.pick(exchange, untried), second);
    // Forty at once over one node: nobody could take it off its hands.
    assert.equal(
      ring.pick(exchange, (node) => node === home),
      home,
    );
  });

  it("picks without the bound when every eligible node is over it", () => {
    const { ring, exchange, home, second, third } = hotKey(0.1);
    for (const node of [home, second, third]) node.inFlight = 50;
    assert.equal(ring.pick(exchange, untried), home);
    exchange.tried.add(home.index);
    assert.equal(ring.pick(exchange, untried), second);
  });

  it("never overflows with a balance factor of 0", () => {
    const { ring, exchange, home } = hotKey(0);
    home.inFlight = 1000;
    assert.equal(ring.pick(exchange, untried), home);
  });
});
