import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { startBalancer } from "../support/balancer.js";
import { sampleValue, sumOf } from "../support/exposition.js";
import { FakeClock } from "../support/fake-clock.js";
import { type FunctionNode, startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { pathsOf } from "../support/paths.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { scrape, scrapedText } from "../support/scrape.js";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`;
const CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/** Nodes that answer with the status in the query. */
function startAnsweringNodes(t: TestContext, count: number): Promise<FunctionNode[]> {
  return startFunctionNodes(t, count, {
    answer(_, response, { target }) {
      response.statusCode = Number(/\?(\d+)/.exec(target)?.[1] ?? 200);
      response.setHeader("x-port", `${response.socket?.localPort}`);
      response.end("answer");
    },
  });
}

describe("metrics", () => {
  it("count what a client saw, by node and class of status", async (t) => {
    const nodes = await startAnsweringNodes(t, 3);
    const { port, balancer } = await startBalancer(t, { nodes: nodes.map((node) => node.port) });
    const client = await connectClient(t, port);
    const seen = new Map<string, number>();
    const statuses = [200, 204, 302, 404, 500, 503];
    for (let number = 0; number < 60; number++) {
      const response = await client.ask(get(`/f${number}?${statuses[number % statuses.length]}`));
      const key = `127.0.0.1:${response.header("x-port")} ${Math.floor(response.status / 100)}xx`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    const families = scrape(balancer);
    for (const { address } of nodes) {
      for (const name of CLASSES) {
        const labels = { cluster: "default", node: address, class: name };
        assert.equal(sampleValue(families, "fnlb_node_responses_total", labels), seen.get(`${address} ${name}`) ?? 0);
      }
      const answered = sumOf(families, "fnlb_node_responses_total", { node: address });
      assert.equal(sampleValue(families, "fnlb_node_attempts_total", { node: address }), answered);
      assert.equal(sampleValue(families, "fnlb_node_head_seconds_count", { node: address }), answered);
      assert.equal(sampleValue(families, "fnlb_node_state", { node: address, state: "serving" }), 1);
    }
    assert.deepEqual(
      CLASSES.map((name) => sampleValue(families, "fnlb_responses_total", { class: name })),
      [0, 20, 10, 10, 20],
    );
    assert.deepEqual(
      CLASSES.map((name) => sampleValue(families, "fnlb_cluster_responses_total", { class: name })),
      [0, 20, 10, 10, 20],
    );
    for (const name of ["fnlb_requests_total", "fnlb_cluster_requests_total", "fnlb_cluster_head_seconds_count"]) {
      assert.equal(sampleValue(families, name), 60, name);
    }
    assert.equal(sampleValue(families, "fnlb_connections"), 1);
    assert.ok(sampleValue(families, "fnlb_cluster_head_seconds_sum") > 0);
  });

  it("have as many series after ten thousand paths as after one", async (t) => {
    const [node] = await startAnsweringNodes(t, 1);
    const { port, balancer } = await startBalancer(t, { nodes: [node.port] });
    const first = await connectClient(t, port);
    await first.ask(get("/first"));
    const namesOf = (text: string) => text.split("\n").map((line) => line.slice(0, line.lastIndexOf(" ")));
    const before = namesOf(scrapedText(balancer));
    const batch = 100;
    for (let number = 0; number < 10_000; number += batch) {
      const client = await connectClient(t, port);
      const paths = Array.from({ length: batch }, (_, offset) => `/f${number + offset}?session=${number}`);
      client.send(
        paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: h${number}\r\nCookie: id=${number}\r\n\r\n`).join(""),
      );
      for (const _ of paths) await client.response();
      client.destroy();
    }
    const text = scrapedText(balancer);
    assert.deepEqual(namesOf(text), before);
    assert.equal(sampleValue(scrape(balancer), "fnlb_requests_total"), 10_001);
    assert.doesNotMatch(text, /session|\/f\d/);
  });

  it("tell a node that was asked in vain from the one that answered", async (t) => {
    const bad = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.destroy()));
    const busy = await startRawOrigin(t, answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"));
    const good = await startFunctionNode(t, { name: "good" });
    const settings = {
      nodes: [bad.port, busy.port, good.port],
      retryOn: { closed: true, silent: true, statuses: [503] },
    };
    // Time stands still: a node that has become suspect by its closes is not asked whether it still is.
    const { port, config, balancer } = await startBalancer(t, settings, { clock: new FakeClock() });
    const addresses = config.nodes.map(({ id }) => id);
    const client = await connectClient(t, port);
    for (const id of addresses) {
      for (const path of pathsOf(config.nodes, id, 2)) assert.equal((await client.ask(get(path))).status, 200);
    }
    const families = scrape(balancer);
    const { counters } = balancer.snapshot();
    const [badId, busyId, goodId] = addresses;
    const of = (name: string, node: string) => sampleValue(families, `fnlb_node_${name}`, { node });
    assert.deepEqual(
      [of("attempts_total", badId), of("faults_total", badId)],
      [bad.connections.length, bad.connections.length],
    );
    assert.equal(of("head_seconds_count", badId), 0);
    assert.equal(
      sampleValue(families, "fnlb_node_responses_total", { node: busyId, class: "5xx" }),
      of("attempts_total", busyId),
    );
    assert.equal(of("faults_total", busyId), 0, "an answer of any status is no fault of the attempt");
    assert.equal(sampleValue(families, "fnlb_node_responses_total", { node: goodId, class: "2xx" }), 6);
    const reasons = Object.fromEntries(
      ["closed", "status", "silent"].map((reason) => [reason, sampleValue(families, "fnlb_retries_total", { reason })]),
    );
    assert.deepEqual(reasons, { closed: bad.connections.length, status: of("attempts_total", busyId), silent: 0 });
    assert.equal(sumOf(families, "fnlb_retries_total"), counters.retries, "the reasons are all there is");
    assert.equal(sumOf(families, "fnlb_node_attempts_total"), counters.attempts);
    assert.deepEqual(
      [
        sampleValue(families, "fnlb_cluster_head_seconds_count"),
        sumOf(families, "fnlb_cluster_responses_total", { class: "5xx" }),
      ],
      [6, 0],
      "the client saw six answers, and none of them bad",
    );
  });

  it("show a node that is killed and comes back", async (t) => {
    const nodes = await startAnsweringNodes(t, 2);
    const [first, second] = nodes;
    const { port, config, balancer, event } = await startBalancer(t, {
      nodes: nodes.map((node) => node.port),
      pingIntervalMs: 20,
    });
    const client = await connectClient(t, port);
    const [path] = pathsOf(config.nodes, first.address, 1);
    await first.stop();
    assert.equal((await client.ask(get(path))).header("x-port"), `${second.port}`);
    await event("node_dead");
    let families = scrape(balancer);
    const state = (name: string) => sampleValue(families, "fnlb_node_state", { node: first.address, state: name });
    assert.deepEqual([state("dead"), state("serving")], [1, 0]);
    assert.equal(sampleValue(families, "fnlb_node_dials_failed_total", { node: first.address }), 1);
    assert.equal(sampleValue(families, "fnlb_node_attempts_total", { node: first.address }), 0);
    assert.equal(sampleValue(families, "fnlb_fallbacks_total"), 1);
    assert.equal(sampleValue(families, "fnlb_node_transitions_total", { to: "dead" }), 1);
    assert.equal(sampleValue(families, "fnlb_node_deaths_total", { node: first.address }), 1);
    await first.start();
    await event("node_alive");
    families = scrape(balancer);
    assert.deepEqual([state("dead"), state("serving")], [0, 1]);
    assert.equal(sampleValue(families, "fnlb_node_transitions_total", { to: "alive" }), 1);
    assert.ok(sampleValue(families, "fnlb_pings_total") >= 1);
    assert.equal(sumOf(families, "fnlb_node_dials_failed_total"), sampleValue(families, "fnlb_dials_failed_total"));
  });

  it("count what fnlb answers itself under the cluster that the request was for, by code", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const { port, balancer } = await startBalancer(t, { nodes: [node.port], bodyBytesMax: 3 });
    const large = await connectClient(t, port);
    const post = "POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 4\r\n\r\nbody";
    assert.equal((await large.ask(post, "POST")).status, 413);
    await node.stop();
    const client = await connectClient(t, port);
    for (let number = 0; number < 3; number++) assert.equal((await client.ask(get("/"))).status, 502);
    const bad = await connectClient(t, port);
    assert.equal((await bad.ask("GET / HTTP/1.1\r\n\r\n")).status, 400);
    const families = scrape(balancer);
    const [{ samples }] = families.filter(({ name }) => name === "fnlb_cluster_problems_total");
    assert.deepEqual(
      samples.map(({ labels, value }) => [labels.code, labels.status, value]),
      [
        ["ERR_BODY_TOO_LARGE", "413", 1],
        ["ERR_NO_FALLBACK_NODE_FOUND", "502", 3],
      ],
    );
    assert.equal(sampleValue(families, "fnlb_problems_total"), 5, "what was never a request belongs to no cluster");
    assert.equal(sampleValue(families, "fnlb_limits_reached_total", { limit: "body-bytes" }), 1);
    assert.equal(sampleValue(families, "fnlb_cluster_requests_total"), 4);
    assert.equal(sampleValue(families, "fnlb_cluster_head_seconds_count"), 0);
  });

  it("say who ended what, and forget no request that is under way", async (t) => {
    const origin = await startRawOrigin(t);
    const { port, balancer, until } = await startBalancer(t, { nodes: [origin.port] });
    const leaving = await connectClient(t, port);
    leaving.send(get("/leaving"));
    await (await origin.accept()).log.untilText("\r\n\r\n");
    const during = scrape(balancer);
    for (const name of ["fnlb_exchanges", "fnlb_cluster_in_flight", "fnlb_node_in_flight", "fnlb_node_connections"]) {
      assert.equal(sampleValue(during, name), 1, name);
    }
    leaving.reset();
    await until("the abort", ({ counters }) => counters.clientAborts === 1);

    const reading = await connectClient(t, port);
    reading.send(get("/cut"));
    const sender = await origin.accept();
    await sender.log.untilText("\r\n\r\n");
    sender.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    await reading.log.untilText("half");
    sender.destroy();
    await reading.log.untilClosed();

    const families = scrape(balancer);
    const by = (who: string) => sampleValue(families, "fnlb_exchanges_aborted_total", { by: who });
    assert.deepEqual([by("client"), by("node"), by("balancer")], [1, 1, 0]);
    assert.equal(sampleValue(families, "fnlb_node_attempts_total"), 2);
    assert.equal(sampleValue(families, "fnlb_node_faults_total"), 1, "a client that leaves is no fault of the node");
    assert.equal(sampleValue(families, "fnlb_node_head_seconds_count"), 1);
    assert.equal(sampleValue(families, "fnlb_node_in_flight"), 0);
  });

  it("time a node from the request on its way, and a client from its own request on", async (t) => {
    const clock = new FakeClock();
    const origin = await startRawOrigin(t);
    const { port, balancer } = await startBalancer(t, { nodes: [origin.port] }, { clock });
    const client = await connectClient(t, port);
    client.send("POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 4\r\n\r\nbo");
    const node = await origin.accept();
    await node.log.untilText("bo");
    clock.pass(2000);
    client.send("dy");
    await node.log.untilText("body");
    clock.pass(30);
    node.send(ok("answer"));
    assert.equal((await client.response("POST")).status, 200);
    const families = scrape(balancer);
    assert.equal(sampleValue(families, "fnlb_node_head_seconds_sum"), 0.03, "the upload is not the node's time");
    assert.equal(sampleValue(families, "fnlb_cluster_head_seconds_sum"), 2.03);
    assert.equal(sampleValue(families, "fnlb_node_head_seconds_bucket", { le: "0.025" }), 0);
    assert.equal(sampleValue(families, "fnlb_node_head_seconds_bucket", { le: "0.05" }), 1);
  });

  it("count all requests of a moment, and let one in sixteen stand for the others when they are timed", async (t) => {
    const [node] = await startAnsweringNodes(t, 1);
    // Time stands still: everything is in one tick.
    const { port, balancer } = await startBalancer(t, { nodes: [node.port] }, { clock: new FakeClock() });
    const client = await connectClient(t, port);
    for (const [sent, timed] of [
      [64, 64],
      [79, 64],
      [80, 80],
      [200, 192],
    ]) {
      while (balancer.snapshot().counters.requests < sent) await client.ask(get("/"));
      const families = scrape(balancer);
      assert.equal(sampleValue(families, "fnlb_node_responses_total", { class: "2xx" }), sent);
      assert.equal(sampleValue(families, "fnlb_node_head_seconds_count"), timed);
      assert.equal(sampleValue(families, "fnlb_cluster_head_seconds_count"), timed);
    }
  });

  it("have the time of every request where somebody goes by it", async (t) => {
    const [node] = await startAnsweringNodes(t, 1);
    const config = { nodes: [node.port], breakerFaults: 5 };
    const { port, balancer } = await startBalancer(t, config, { clock: new FakeClock() });
    const client = await connectClient(t, port);
    for (let number = 0; number < 100; number++) await client.ask(get("/"));
    assert.equal(sampleValue(scrape(balancer), "fnlb_node_head_seconds_count"), 100);
  });

  it("see an event loop that stood still", async (t) => {
    const clock = new FakeClock();
    const origin = await startRawOrigin(t);
    const { balancer } = await startBalancer(t, { nodes: [origin.port] }, { clock });
    await clock.advance(250);
    clock.pass(700);
    await clock.advance(25);
    const families = scrape(balancer);
    const late = (le: string) => sampleValue(families, "fnlb_event_loop_delay_seconds_bucket", { le });
    assert.ok(late("0.001") >= 9, "ten ticks in time");
    assert.equal(late("+Inf") - late("0.5"), 1, "one that was 700 ms late or nearly so");
    assert.equal(late("1"), late("+Inf"));
  });
});
