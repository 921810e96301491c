// What a pick costs: hashing the path and finding its node must not grow with the nodes. `npm run build` first.

import { hashString } from "../dist/core/hash.js";
import { createNode } from "../dist/core/node.js";
import { NodeSet } from "../dist/core/node-set.js";
import { ringHash } from "../dist/core/policies/ring-hash.js";

const PICKS = 2_000_000;
const paths = Array.from({ length: 4096 }, (_, number) => `/function-${number}/call`);

function nsPer(work) {
  for (let turn = 0; turn < PICKS / 10; turn++) work(turn);
  const began = process.hrtime.bigint();
  for (let turn = 0; turn < PICKS; turn++) work(turn);
  return Number(process.hrtime.bigint() - began) / PICKS;
}

console.log(`hash of a path: ${nsPer((turn) => hashString(paths[turn & 4095])).toFixed(0)} ns`);
for (const count of [3, 100, 1000]) {
  const ring = ringHash();
  ring.update(
    Array.from({ length: count }, (_, index) =>
      createNode(
        `10.0.${index >> 8}.${index & 255}:8080`,
        index,
        { kind: "tcp", host: "10.0.0.1", port: 8080, basePath: "" },
        1,
      ),
    ),
  );
  const exchange = { keyHash: 0, tried: new NodeSet(), refusal: "none", key: () => "" };
  const hashes = paths.map(hashString);
  const pick = nsPer((turn) => {
    exchange.keyHash = hashes[turn & 4095];
    return ring.pick(exchange, (node) => node.alive);
  });
  console.log(`pick among ${count} nodes: ${pick.toFixed(0)} ns`);
}
