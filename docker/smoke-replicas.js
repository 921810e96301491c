// Load for docker/smoke.sh: `node smoke-replicas.js REPLICA_1 REPLICA_2 STORE`, all of them containers. Calls many paths
// through both replicas all the time, while nodes are edited on either of them by command line and admin API
// (FNLB_ADMIN_TOKEN), and the store and the second replica are killed and started again. Exit code 0 when no call was lost
// and every edit held on both.
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const [, , replica1, replica2, store] = process.argv;
const PATHS = Array.from({ length: 60 }, (_, number) => `/function-${number}`);
/** On each replica. Below eight requests at once on a node the bound on its load moves no path. */
const CALLERS = 3;
/** Rounds over all paths in which everything that serves has served. */
const ROUNDS = 5;
const SHARED_WITHIN_MS = 1000;
const HEALED_WITHIN_MS = 20_000;
const ANSWERED_WITHIN_MS = 5000;

const docker = async (...args) => (await promisify(execFile)("docker", args)).stdout;
/** As an operator in the container, whose variables say where the admin API is. */
const fnlb = (container, ...args) => docker("exec", container, "fnlb", ...args);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function require(isTrue, what) {
  process.stdout.write(`${isTrue ? "ok" : "FAILED"}: ${what}\n`);
  if (!isTrue) process.exitCode = 1;
}

/** Where a port of a container is published; another one each time that it starts. */
async function urlOf(container, port) {
  const [address] = (await docker("port", container, `${port}/tcp`)).split("\n");
  return `http://127.0.0.1:${address.slice(address.lastIndexOf(":") + 1)}`;
}

/** A replica with its callers. */
class Replica {
  calls = 0;
  lost = [];
  /** Who has answered since `askAll` began. */
  #nodes = new Set();
  #isPaused = false;
  #callers = [];

  constructor(container) {
    this.container = container;
  }

  /** Where it is since it was started. */
  async find() {
    this.url = await urlOf(this.container, 8081);
    this.admin = await urlOf(this.container, 9081);
  }

  start() {
    this.#isPaused = false;
    this.#callers = Array.from({ length: CALLERS }, (_, caller) => this.#runCaller(caller * 7));
  }

  async pause() {
    this.#isPaused = true;
    await Promise.all(this.#callers);
  }

  async #runCaller(offset) {
    for (let turn = offset; !this.#isPaused; turn++) await this.#call(PATHS[turn % PATHS.length]);
  }

  async #call(path) {
    this.calls++;
    try {
      const response = await fetch(this.url + path);
      await response.arrayBuffer();
      if (response.status !== 200) throw new Error(`status ${response.status}`);
      this.#nodes.add(response.headers.get("x-node"));
    } catch (error) {
      this.lost.push(`${path}: ${error.cause?.code ?? error.message}`);
    }
  }

  /** Who serves, after all that was under way has ended. */
  async askAll() {
    const begun = this.calls + CALLERS;
    while (this.calls < begun) await sleep(5);
    this.#nodes.clear();
    const until = this.calls + PATHS.length * ROUNDS;
    while (this.calls < until) await sleep(5);
    return [...this.#nodes].sort().join(" ");
  }

  /** Asks the admin API; resolves to the status and the answer. */
  async ask(method, path, body) {
    const response = await fetch(`${this.admin}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${process.env.FNLB_ADMIN_TOKEN}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(ANSWERED_WITHIN_MS),
    });
    const text = await response.text();
    return { status: response.status, answer: text === "" ? undefined : JSON.parse(text) };
  }

  change(method, node, body) {
    return this.ask(method, `/v1/clusters/default/nodes/${encodeURIComponent(`${node}:8080`)}`, body);
  }

  /** `node-a active, node-b draining`: names and modes, sorted. */
  async nodes() {
    const { answer } = await this.ask("GET", "/v1/nodes");
    return answer.nodes
      .map(({ id, mode }) => `${id.replace(":8080", "")} ${mode}`)
      .sort()
      .join(", ");
  }
}

/** Until a replica knows what it should, in milliseconds; undefined if it does not come to know it in time. */
async function knows(replica, nodes, withinMs) {
  const begunMs = performance.now();
  for (;;) {
    const known = await replica.nodes().catch((error) => String(error));
    const passedMs = Math.round(performance.now() - begunMs);
    if (known === nodes) return passedMs;
    if (passedMs > withinMs) {
      process.stdout.write(`knows ${known}\n`);
      return undefined;
    }
    await sleep(10);
  }
}

async function requireKnown(replica, name, nodes, withinMs) {
  const passedMs = await knows(replica, nodes, withinMs);
  require(passedMs !== undefined, `${name} knows ${nodes} (${passedMs} ms)`);
}

const one = new Replica(replica1);
const two = new Replica(replica2);
for (const replica of [one, two]) {
  await replica.find();
  replica.start();
}

const page = await fetch(one.admin);
require(page.status === 200 && (await page.text()).includes("<html"), "the dashboard is in the image");
require((await two.askAll()) === "node-a node-b", "two nodes serve at first");

const added = await fnlb(replica1, "nodes", "add", "node-c");
require(added.includes("node-c:8080"), `a node is added on the first replica: ${added.trim()}`);
await requireKnown(two, "the second replica", "node-a active, node-b active, node-c active", SHARED_WITHIN_MS);
require((await two.askAll()) === "node-a node-b node-c", "and sends requests there");

const drained = await two.change("PATCH", "node-a", { mode: "draining" });
require(drained.status === 200, `a node is drained on the second replica: ${drained.status}`);
const EDITED = "node-a draining, node-b active, node-c active";
await requireKnown(one, "the first replica", EDITED, SHARED_WITHIN_MS);
require((await one.askAll()) === "node-b node-c", "and sends no requests there");

await docker("kill", store);
const deadlineMs = performance.now() + HEALED_WITHIN_MS;
let refused;
do refused = await one.change("PATCH", "node-b", { weight: 2 });
while (refused.status !== 503 && performance.now() < deadlineMs);
require(refused.status === 503 &&
  refused.answer.code === "ERR_STORE", `edits are refused without the store: ${refused.status}`);
require((await one.askAll()) === "node-b node-c", "and requests go where they went");
await docker("start", store);
let accepted;
do {
  accepted = await one.change("PATCH", "node-b", { weight: 3 });
  await sleep(50);
} while (accepted.status === 503 && performance.now() < deadlineMs);
require(accepted.status === 200, `and accepted again when it is back: ${accepted.status}`);

await two.pause();
await docker("kill", replica2);
require((await one.change("PATCH", "node-a", { mode: "active" })).status ===
  200, "the first is edited while the second is dead");
await docker("start", replica2);
await two.find();
await requireKnown(two, "the second, back again,", "node-a active, node-b active, node-c active", HEALED_WITHIN_MS);
two.start();
require((await two.askAll()) === "node-a node-b node-c", "and all serve");

const removed = await fnlb(replica2, "nodes", "remove", "node-c");
require(removed.includes("node-c:8080"), `the node is removed again: ${removed.trim()}`);
await requireKnown(one, "the first replica", "node-a active, node-b active", SHARED_WITHIN_MS);
require((await one.askAll()) === "node-a node-b", "and gets nothing");

await Promise.all([one.pause(), two.pause()]);
const lost = [...one.lost, ...two.lost];
require(lost.length === 0, `no call of ${one.calls + two.calls} was lost ${lost.slice(0, 5).join(", ")}`);
