import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startBalancer } from "../support/balancer.js";
import { type NodeProcess, startNodeProcess } from "../support/node-process.js";

/** The story lasts for so many deaths and calls, however long a machine takes for them. */
const KILLS = 36;
const CALLS = 2000;
const CLIENTS = 16;
/** A victim is dead, and back, for a half to one and a half of this. */
const PAUSE_MS = 100;

interface Outcome {
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly code: string;
}

/** One call by the runtime's own client; a broken connection is status 0. */
function call(agent: Agent, port: number, method: string, target: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException) =>
      resolve({ method, target, status: 0, code: error.code ?? error.message });
    const outgoing = request({ agent, port, host: "127.0.0.1", method, path: target }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("error", failed);
      response.on("end", () => {
        const { code = "", target: answered } = JSON.parse(body) as {
          readonly code?: string;
          readonly target?: string;
        };
        const isMixedUp = response.statusCode === 200 && answered !== target;
        resolve({
          method,
          target,
          status: response.statusCode ?? 0,
          code: isMixedUp ? `got the answer to ${answered}` : code,
        });
      });
    });
    outgoing.on("error", failed);
    outgoing.end(method === "POST" ? "x".repeat(2048) : undefined);
  });
}

describe("killing and restarting nodes at random under load", () => {
  it("FA6, FA16: shows no client an error for a request that did not reach a node, and sends no POST twice", async (t) => {
    const nodes = await Promise.all(["a", "b", "c", "d"].map((name) => startNodeProcess(t, { name })));
    const { port, balancer, until } = await startBalancer(t, {
      nodes: nodes.map((node) => node.port),
      pingIntervalMs: 50,
    });
    const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
    t.after(() => agent.destroy());
    const outcomes: Outcome[] = [];
    let kills = 0;
    const isOver = () => kills >= KILLS && outcomes.length >= CALLS;

    const client = async (number: number) => {
      for (let turn = 0; !isOver(); turn++) {
        const method = turn % 3 === 2 ? "POST" : "GET";
        outcomes.push(await call(agent, port, method, `/f${turn % 97}?id=${number}-${turn}`));
      }
    };
    const reaper = async (victims: readonly NodeProcess[]) => {
      while (!isOver()) {
        const victim = victims[Math.floor(Math.random() * victims.length)];
        await victim.kill();
        kills++;
        await pause(PAUSE_MS * (0.5 + Math.random()));
        await victim.restart();
        await pause(PAUSE_MS * (0.5 + Math.random()));
      }
    };
    // Two reapers and four nodes: at any moment two nodes or more are there, and any two may be gone.
    await Promise.all([
      reaper(nodes.slice(0, 2)),
      reaper(nodes.slice(2)),
      ...Array.from({ length: CLIENTS }, (_, number) => client(number)),
    ]);

    // The one exempt case: a POST was written to a node that then died, and nobody knows whether it was done.
    const isExempt = ({ method, status, code }: Outcome) =>
      method === "POST" && status === 502 && code === "ERR_NODE_CLOSED";
    const exempt = outcomes.filter(isExempt);
    const failed = outcomes.filter((outcome) => (outcome.status !== 200 || outcome.code !== "") && !isExempt(outcome));
    t.diagnostic(
      `${outcomes.length} calls, ${kills} kills, ${exempt.length} POSTs lost with a node that they had reached`,
    );
    assert.deepEqual(failed, []);
    assert.ok(exempt.length <= kills * CLIENTS, "no more than were under way at each kill");

    const seen = nodes.flatMap(({ output }) =>
      [...output.text.matchAll(/^seen POST (\S+)$/gm)].map(([, target]) => target),
    );
    assert.equal(new Set(seen).size, seen.length, "no POST was read by two nodes");
    await until("every node to be alive again", ({ nodes: all }) => all.every(({ alive }) => alive));
    assert.ok(balancer.snapshot().counters.nodeDeaths > 0);
  });
});
