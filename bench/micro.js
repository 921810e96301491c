// What a pick costs: hashing the path and finding its node must not grow with the nodes, nor finding its route with the
// routes. `npm run build` first. Rendezvous is the exception, and says so. Behind it what protection costs while all is
// well, what statistics cost, and what a head costs, as it comes and with header rules.

import { CircuitBreaker } from "../dist/core/breaker.js";
import { ClusterStats } from "../dist/core/cluster-stats.js";
import { hashString } from "../dist/core/hash.js";
import { Histogram } from "../dist/core/histogram.js";
import { LoadWait } from "../dist/core/load-wait.js";
import { createNode } from "../dist/core/node.js";
import { NodeSet } from "../dist/core/node-set.js";
import { OutlierDetector } from "../dist/core/outlier.js";
import { Outcome } from "../dist/core/policies/policy.js";
import { createPolicy, POLICIES } from "../dist/core/policies/table.js";
import { ComposedRequest, composedBytesMax, composeRequest } from "../dist/http1/compose-request.js";
import { composeResponse } from "../dist/http1/compose-response.js";
import { compileHeaderRules } from "../dist/http1/header-rules.js";
import { RequestHead } from "../dist/http1/request-head.js";
import { ResponseHead } from "../dist/http1/response-head.js";
import { Attempt } from "../dist/proxy/attempt.js";
import { forwardedLines } from "../dist/proxy/forwarded.js";
import { RouteTable } from "../dist/proxy/route-table.js";
import { systemClock } from "../dist/system/clock.js";

const PICKS = 1_000_000;
const ROUNDS = 5;
const COUNTS = [3, 100, 1000];
const paths = Array.from({ length: 4096 }, (_, number) => `/function-${number}/call`);

/** The best of several rounds: what else the machine does only ever adds. */
function nsPer(work, picks = PICKS) {
  for (let turn = 0; turn < picks / 5; turn++) work(turn);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const began = process.hrtime.bigint();
    for (let turn = 0; turn < picks; turn++) work(turn);
    best = Math.min(best, Number(process.hrtime.bigint() - began) / picks);
  }
  return best;
}

function nodesOf(count, weightOf) {
  return Array.from({ length: count }, (_, index) =>
    createNode(
      `10.0.${index >> 8}.${index & 255}:8080`,
      index,
      { kind: "tcp", host: "10.0.0.1", port: 8080, basePath: "" },
      weightOf(index),
    ),
  );
}

/** A pick and what the cluster tells the policy about it: load when it begins and ends, and the latency. */
function exchangeNs(name, options, count, weightOf) {
  const policy = createPolicy(name, { random: Math.random, now: () => performance.now(), ...options });
  const nodes = nodesOf(count, weightOf);
  policy.update(nodes);
  const exchange = { keyHash: 0, tried: new NodeSet(), refusal: "none", stamp: 0, key: () => "" };
  const eligible = (node) => node.alive && !exchange.tried.has(node.index);
  const hashes = paths.map(hashString);
  return nsPer(
    (turn) => {
      exchange.keyHash = hashes[turn & 4095];
      const node = policy.pick(exchange, eligible);
      node.inFlight++;
      policy.noteLoad?.(node);
      node.inFlight--;
      policy.noteLoad?.(node);
      policy.observe?.(node, Outcome.ANSWERED, 1);
    },
    name === "rendezvous" && count > 100 ? PICKS / 20 : PICKS,
  );
}

const cell = (text) => String(text).padStart(10);
console.log(`hash of a path: ${nsPer((turn) => hashString(paths[turn & 4095])).toFixed(0)} ns\n`);
console.log(`${"ns per exchange, nodes:".padEnd(40)}${COUNTS.map(cell).join("")}`);
const even = () => 1;
const mixed = (index) => 1 + (index % 7);
const rows = Object.keys(POLICIES).flatMap((name) => [
  [name, name, {}, even],
  [`${name}, seven weights`, name, {}, mixed],
]);
rows.push(["weighted-round-robin, interleaved", "weighted-round-robin", { mode: "interleaved" }, even]);
rows.push(["  the same, seven weights", "weighted-round-robin", { mode: "interleaved" }, mixed]);
for (const [title, name, options, weightOf] of rows) {
  const cells = COUNTS.map((count) => cell(exchangeNs(name, options, count, weightOf).toFixed(0)));
  console.log(`${title.padEnd(40)}${cells.join("")}`);
}

/** What a good answer costs, the way from node to node included; the clock must not be asked. */
function protectionNs(count) {
  const clock = {
    now() {
      clock.looks++;
      return 0;
    },
    looks: 0,
  };
  const nodes = nodesOf(count, even);
  const detector = new OutlierDetector({ clock });
  const breaker = new CircuitBreaker({ clock, random: Math.random });
  detector.update(nodes);
  breaker.update(nodes);
  const nodeOf = (turn) => nodes[turn % count];
  const observed = nsPer((turn) => detector.observe(nodeOf(turn), Outcome.ANSWERED, 1, 200));
  const asked = nsPer((turn) => breaker.mayPass(nodeOf(turn)));
  const passed = nsPer((turn) => {
    const node = nodeOf(turn);
    breaker.observe(node, breaker.noteAcquired(node), Outcome.ANSWERED, 200);
  });
  if (clock.looks > 1) throw new Error(`the clock was asked ${clock.looks} times`);
  return [observed, asked, passed];
}

console.log(`\n${"ns per good answer, nodes:".padEnd(40)}${COUNTS.map(cell).join("")}`);
const protection = COUNTS.map(protectionNs);
for (const [row, title] of ["outlier, observe", "breaker, mayPass", "breaker, noteAcquired and observe"].entries()) {
  console.log(`${title.padEnd(40)}${protection.map((columns) => cell(columns[row].toFixed(1))).join("")}`);
}

/** What an attempt pays to be counted, and timed where `observes` says all are: at both ends, for its node and its cluster. */
function statsNs(observes) {
  const cluster = { observes, noteAnswered() {}, release() {} };
  const context = { clock: systemClock, wheel: { nowMs: 0 }, stats: new ClusterStats(), cluster };
  const nodes = nodesOf(16, even);
  const attempt = new Attempt();
  return nsPer((turn) => {
    const node = nodes[turn & 15];
    attempt.arrive(context);
    attempt.begin(context, node, 0);
    attempt.settle();
    attempt.notePassedOn(context, node, 200);
    attempt.release(context, node, 200);
  });
}

const histogram = new Histogram();
const samples = Float64Array.from({ length: 4096 }, (_, turn) => 10 ** (-1 + turn / 1024));
console.log("\nns per call, statistics");
for (const [title, ns] of [
  ["clock, now", nsPer(() => systemClock.now())],
  ["histogram, add", nsPer((turn) => histogram.add(samples[turn & 4095]))],
  ["an attempt, counted, one in 16 timed", statsNs(false)],
  ["an attempt, counted and timed", statsNs(true)],
]) {
  console.log(`${title.padEnd(40)}${cell(ns.toFixed(1))}`);
}

const LIMITS = { headBytesMax: 16_384, headFieldsMax: 100, targetBytesMax: 8192, responseHeadBytesMax: 65_536 };
const REQUEST = Buffer.from(
  "GET /function-17/call?x=1 HTTP/1.1\r\nHost: fn.example:8081\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n" +
    "Accept-Encoding: gzip, br\r\nCookie: a=0123456789abcdef\r\nConnection: keep-alive\r\n\r\n",
);
const RESPONSE = Buffer.from(
  "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:16:40 GMT\r\nContent-Type: application/json\r\n" +
    "Content-Length: 1024\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive\r\nX-Powered-By: fn\r\n\r\n",
);
const lines = forwardedLines({
  config: { forwardedFor: "append", forwardedHeaders: "x-forwarded" },
  isTrusted: false,
  address: "10.0.0.7",
  port: 8081,
  isEncrypted: false,
  viaName: "fnlb-00000000",
});
const out = Buffer.alloc(65_536);
const requestHead = new RequestHead(LIMITS);
const responseHead = new ResponseHead(LIMITS);
const composed = new ComposedRequest();

function request(stripBytes, rules) {
  const edits = compileHeaderRules(rules, { message: "request" });
  return () => {
    requestHead.parse(REQUEST, 0, REQUEST.length);
    composedBytesMax(requestHead, lines, edits);
    composeRequest(requestHead, REQUEST, out, lines, "", "", composed, stripBytes, edits);
  };
}

function response(rules) {
  const headers = compileHeaderRules(rules, { message: "response" });
  const edits = { addsChunked: false, dropsChunked: false, connection: "", upgradeToken: "", affinityLine: "" };
  const complete = { ...edits, headers, client: "10.0.0.7", node: "10.0.0.1:8080" };
  return () => {
    responseHead.parse(RESPONSE, 0, RESPONSE.length, false);
    composeResponse(responseHead, RESPONSE, out, 0, complete);
  };
}

const set = (name, value) => ({ action: "set", name, value });
const remove = (name) => ({ action: "remove", name, value: "" });
console.log("\nns per head, parsed and composed");
for (const [title, work] of [
  ["request", request(0, [])],
  ["request, prefix stripped", request(12, [])],
  ["request, two rules", request(0, [set("X-Env", "prod"), remove("Cookie")])],
  ["request, a rule with the client", request(0, [set("X-Real-IP", "{client}")])],
  ["request, Host set", request(0, [set("Host", "fn.internal")])],
  ["response", response([])],
  ["response, two rules", response([set("Server", "fnlb"), remove("X-Powered-By")])],
  ["response, a rule with the node", response([set("X-Node", "{node}")])],
]) {
  console.log(`${title.padEnd(40)}${cell(nsPer(work).toFixed(0))}`);
}

const loadWait = new LoadWait({ now: () => performance.now(), random: Math.random });
const [loaded] = nodesOf(1, even);
const hashes = paths.map(hashString);
console.log("\nns per call, load waits of 4,096 paths");
console.log(`${"note".padEnd(40)}${cell(nsPer((turn) => loadWait.note(loaded, hashes[turn & 4095], 700)).toFixed(0))}`);
console.log(
  `${"holdsBack".padEnd(40)}${cell(nsPer((turn) => loadWait.holdsBack(loaded, hashes[turn & 4095])).toFixed(0))}`,
);

/** Looks for the routes of 256 requests, parsed beforehand, for `urls` from the first to the last. */
function routeNs(conditions, urls) {
  const routes = conditions.map((given, index) => ({
    ...{ name: `route-${index}`, hosts: [], path: "/", isExact: false, methods: [], headers: [], cluster: "any" },
    ...{ stripsPrefix: false, redirectsSlash: false, ...given },
  }));
  const table = new RouteTable(routes);
  const parsed = Array.from({ length: 256 }, (_, turn) => {
    const number = Math.floor((turn * urls.length) / 256);
    const url = urls[number];
    const slash = url.indexOf("/");
    const text = `GET ${url.slice(slash)} HTTP/1.1\r\nHost: ${url.slice(0, slash)}\r\nAccept: */*\r\nX-Tenant: ${number}\r\n\r\n`;
    const buffer = Buffer.from(text);
    const head = new RequestHead({ headBytesMax: 16384, headFieldsMax: 100, targetBytesMax: 8192 });
    head.parse(buffer, 0, buffer.length);
    return { head, buffer };
  });
  let found = 0;
  const ns = nsPer((turn) => {
    const { head, buffer } = parsed[turn & 255];
    if (table.find(head, buffer) !== undefined) found++;
  });
  if (found === 0) throw new Error("no route was found");
  return ns;
}

const ROUTE_COUNTS = [1, 10, 1000];
const upTo = (count, make) => Array.from({ length: count }, (_, number) => make(number));
console.log(`\n${"ns per route, routes:".padEnd(40)}${ROUTE_COUNTS.map(cell).join("")}`);
for (const [title, conditionOf, urlOf] of [
  ["for everything, then prefixes", (n) => (n === 0 ? {} : { path: `/f${n}` }), (n) => `fn/f${n}/call`],
  ["by prefix", (n) => ({ path: `/v1/f${n}` }), (n) => `api.example.com/v1/f${n}/call`],
  ["by host", (n) => ({ hosts: [`t${n}.example.com`] }), (n) => `t${n}.example.com/v1/call`],
  ["by wildcard and prefix", (n) => ({ hosts: [`*.t${n}.org`], path: "/v1" }), (n) => `a.t${n}.org:8080/v1/call`],
  ["by field, all of one path", (n) => ({ headers: [{ name: "x-tenant", value: `${n}` }] }), () => "fn/"],
]) {
  const cells = ROUTE_COUNTS.map((count) => cell(routeNs(upTo(count, conditionOf), upTo(count, urlOf)).toFixed(0)));
  console.log(`${title.padEnd(40)}${cells.join("")}`);
}
