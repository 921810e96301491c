// What a pick costs: hashing the path and finding its node must not grow with the nodes, nor finding its route with the
// routes. `npm run build` first.
// Rendezvous is the exception, and says so.

import { hashString } from "../dist/core/hash.js";
import { createNode } from "../dist/core/node.js";
import { NodeSet } from "../dist/core/node-set.js";
import { Outcome } from "../dist/core/policies/policy.js";
import { createPolicy, POLICIES } from "../dist/core/policies/table.js";
import { RequestHead } from "../dist/http1/request-head.js";
import { RouteTable } from "../dist/proxy/route-table.js";

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
  const exchange = { keyHash: 0, tried: new NodeSet(), refusal: "none", key: () => "" };
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
