import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import type { Browser, Page } from "playwright-core";
import { type AdminResponse, askAdmin } from "../support/admin-client.js";
import { openPage, startChromium, takePicture, type WatchedPage, WITHOUT_CHROMIUM } from "../support/chromium.js";
import { type MixedLoad, startMixedLoad } from "../support/mixed-load.js";
import { type NodeProcess, startNodeProcess } from "../support/node-process.js";
import { type Program, runProgram, runToEnd } from "../support/program.js";
import { connectClient } from "../support/raw-peer.js";
import { startRedis, WITHOUT_REDIS } from "../support/redis-server.js";
import { until } from "../support/until.js";

const TOKEN = "correct-horse-battery";
const BEARER = { authorization: `Bearer ${TOKEN}` };
const LIST = "/v1/clusters/default/nodes";

const idOf = ({ port }: NodeProcess) => `127.0.0.1:${port}`;
const pathOf = (node: NodeProcess) => `${LIST}/${encodeURIComponent(idOf(node))}`;

/** A replica as a process, with everything that an operator has to do with it. */
interface Replica {
  readonly program: Program;
  readonly port: number;
  readonly watched: WatchedPage;
  readonly page: Page;
  ask(method: string, path: string, body?: unknown): Promise<AdminResponse>;
  /** Runs the command line against it to its end; fails unless that succeeds. */
  cli(...args: readonly string[]): Promise<string>;
  /** Starts the command line against it. */
  startCli(...args: readonly string[]): Program;
}

/** What all replicas must say alike of a node. */
interface Shared {
  readonly id: string;
  readonly mode: string;
  readonly weight: number;
}

interface NodeSeen extends Shared {
  readonly alive: boolean;
  readonly states: readonly string[];
  readonly inFlight: number;
}

async function startReplica(t: TestContext, browser: Browser, args: readonly string[], store: string) {
  const basics = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ping-interval", "100ms"];
  const program = runProgram(t, [...basics, ...args], { env: { FNLB_STORE: store, FNLB_ADMIN_TOKEN: TOKEN } });
  const admin = String((await program.event("admin_listening")).address);
  const watched = await openPage(t, browser, `http://${admin}/`);
  const { page } = watched;
  await page.getByRole("dialog", { name: "Token needed" }).getByLabel("Token", { exact: true }).fill(TOKEN);
  await page.keyboard.press("Enter");
  await page.locator("#link").getByText("Live").waitFor();
  await page.locator("#store-note").getByText("edits are shared").waitFor();
  const startCli = (...words: readonly string[]) =>
    runProgram(t, [...words, "--server", `http://${admin}`], { env: { FNLB_ADMIN_TOKEN: TOKEN } });
  const replica: Replica = {
    program,
    port: await program.port(),
    watched,
    page,
    ask: (method, path, body) => askAdmin(admin, path, { method, headers: BEARER, body }),
    async cli(...words) {
      const options = { env: { FNLB_ADMIN_TOKEN: TOKEN } };
      const { code, stdout, stderr } = await runToEnd(t, [...words, "--server", `http://${admin}`], options);
      assert.deepEqual([code, stderr], [0, ""], words.join(" "));
      return stdout;
    },
    startCli,
  };
  return replica;
}

async function nodesOf(replica: Replica): Promise<readonly NodeSeen[]> {
  const { json } = await replica.ask("GET", LIST);
  return (json as { readonly nodes: readonly NodeSeen[] }).nodes;
}

async function nodeOf(replica: Replica, node: NodeProcess): Promise<NodeSeen> {
  return (await nodesOf(replica)).find(({ id }) => id === idOf(node)) ?? assert.fail(`no node ${idOf(node)}`);
}

const said = (of: NodeProcess, more: Partial<Shared> = {}): Shared => ({
  id: idOf(of),
  mode: "active",
  weight: 1,
  ...more,
});

/** Until the API of each replica lists these nodes, in whatever order. */
async function untilAgreed(t: TestContext, replicas: readonly Replica[], expected: readonly Shared[]): Promise<void> {
  const textOf = (nodes: readonly Shared[]) =>
    JSON.stringify(
      nodes.map(({ id, mode, weight }) => ({ id, mode, weight })).sort((one, other) => (one.id < other.id ? -1 : 1)),
    );
  const begunMs = performance.now();
  for (const replica of replicas) {
    let known = "nothing";
    await until(`agreement about ${textOf(expected)}`, async () => {
      known = textOf(await nodesOf(replica));
      return known === textOf(expected);
    }).catch((error: Error) => assert.fail(`${error.message}; known is ${known}`));
  }
  t.diagnostic(`agreed after ${Math.ceil(performance.now() - begunMs)} ms`);
}

async function untilState(replicas: readonly Replica[], node: NodeProcess, state: string): Promise<void> {
  for (const replica of replicas) {
    await until(`${idOf(node)} to be ${state}`, async () => (await nodeOf(replica, node)).states.includes(state));
  }
}

const rowOf = ({ page }: Replica, node: NodeProcess) => page.locator("tbody tr", { hasText: idOf(node) });

/** Until the pages of all replicas show this text in the row of a node. */
async function shown(replicas: readonly Replica[], node: NodeProcess, text: string): Promise<void> {
  await Promise.all(replicas.map((replica) => rowOf(replica, node).getByText(text, { exact: true }).waitFor()));
}

/** Until the page lists this change of a node. */
async function changeShown({ page }: Replica, node: NodeProcess, change: RegExp): Promise<void> {
  await page
    .locator("#changes li", { hasText: idOf(node) })
    .getByText(change)
    .first()
    .waitFor();
}

/** Until the page says so many exchanges and tunnels run at a node. */
async function inFlightShown(replica: Replica, node: NodeProcess, count: number): Promise<void> {
  await rowOf(replica, node).locator(".in-flight").getByText(String(count), { exact: true }).waitFor();
}

/** A path of which the replica says that it goes to this node. */
async function pathTo(replica: Replica, node: NodeProcess): Promise<string> {
  for (let number = 0; number < 1000; number++) {
    const { json } = await replica.ask("GET", `/v1/explain?url=${encodeURIComponent(`http://fn/held/${number}`)}`);
    if ((json as { readonly node?: string }).node === idOf(node)) return `/held/${number}`;
  }
  return assert.fail(`no path goes to ${idOf(node)}`);
}

/** Something that stays open at a node while the test goes on: it sends back what it is sent. */
interface Held {
  /** Sends one more piece, and resolves when it has come back. */
  exchange(): Promise<void>;
  /** Ends it properly, and checks that nothing is missing. */
  finish(): Promise<void>;
}

/** A request whose body and response both stream. */
async function holdStream(t: TestContext, replica: Replica, node: NodeProcess): Promise<Held> {
  const client = await connectClient(t, replica.port);
  const path = await pathTo(replica, node);
  client.send(`POST ${path}?echo HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n\r\n`);
  let pieces = "";
  const exchange = async () => {
    const piece = `piece ${pieces.length};`;
    pieces += piece;
    client.send(`${piece.length.toString(16)}\r\n${piece}\r\n`);
    await client.log.untilText(piece);
  };
  await exchange();
  return {
    exchange,
    async finish() {
      client.send("0\r\n\r\n");
      const response = await client.response("POST");
      assert.deepEqual(
        [response.status, response.header("x-node"), response.body.toString()],
        [200, node.name, pieces],
      );
      client.destroy();
    },
  };
}

async function holdTunnel(t: TestContext, replica: Replica, node: NodeProcess): Promise<Held> {
  const client = await connectClient(t, replica.port);
  const path = await pathTo(replica, node);
  client.send(`GET ${path} HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
  const switched = await client.response();
  assert.deepEqual([switched.status, switched.header("x-node")], [101, node.name]);
  let pieces = "";
  return {
    async exchange() {
      const piece = `\0frame ${pieces.length};`;
      pieces += piece;
      client.send(piece);
      await client.log.until("the piece to come back", () => client.text === pieces || undefined);
    },
    async finish() {
      client.end();
      await client.log.untilEnd();
      assert.deepEqual([client.text, client.log.errorCode], [pieces, undefined]);
      client.destroy();
    },
  };
}

/** A request that its node has read and does not answer; `sent` ends with the name of who does. */
async function sendHeld(t: TestContext, replica: Replica, node: NodeProcess, method: string) {
  const client = await connectClient(t, replica.port);
  const target = `${await pathTo(replica, node)}?hold=${node.name}&by=${replica.port}`;
  const body = method === "GET" ? "\r\n" : "Content-Length: 4\r\n\r\nbody";
  client.send(`${method} ${target} HTTP/1.1\r\nHost: fn\r\n${body}`);
  await node.output.untilText(`seen ${method} ${target}\n`);
  return async () => {
    const response = await client.response(method);
    client.destroy();
    const { node: answeredBy, code, bodyBytes } = response.json();
    return { status: response.status, code, answeredBy, bodyBytes };
  };
}

/**
 * Kills a node while it holds a request of each kind from each replica, and the load goes on. What may be repeated
 * must be answered by another node. A POST that it has read gets 502, and nothing else may.
 */
async function killUnderLoad(t: TestContext, replicas: readonly Replica[], node: NodeProcess, load: MixedLoad) {
  for (const names of await Promise.all(replicas.map(({ port }) => load.served(port))))
    assert.ok(names.includes(node.name));
  const held = await Promise.all(
    replicas.flatMap((replica) =>
      ["GET", "PUT", "POST"].map(async (method) => ({ method, answer: await sendHeld(t, replica, node, method) })),
    ),
  );
  const before = replicas.map(({ port }) => ({ port, homes: load.homes(port), first: load.postsBegun(port) - 1 }));
  assert.deepEqual(load.lostPosts, []);
  await node.kill();
  for (const { method, answer } of held) {
    const { status, code, answeredBy } = await answer();
    if (method === "POST") assert.deepEqual([status, code], [502, "ERR_NODE_CLOSED"]);
    else assert.ok(status === 200 && answeredBy !== node.name, `${method}: ${status} ${code} by ${answeredBy}`);
  }
  await untilState(replicas, node, "dead");
  const end = new Map(replicas.map(({ port }) => [port, load.postsBegun(port)]));
  return () => {
    for (const { port, path, number, why } of load.lostPosts) {
      const { homes, first } = before.find((replica) => replica.port === port) ?? assert.fail();
      const text = `POST ${path}, number ${number} at ${port}: ${why}`;
      assert.equal(why, "502 ERR_NODE_CLOSED", text);
      assert.equal(homes.get(path), node.name, `${text}; its home is not the node that was killed`);
      assert.ok(number >= first && number < (end.get(port) ?? 0), `${text}; its replica knew that the node was dead`);
    }
  };
}

/** No exchange, tunnel or connection of a client is left. */
async function untilIdle(replica: Replica): Promise<void> {
  let known: unknown;
  await until("nothing to run", async () => {
    const { exchanges, tunnels, connections } = (await replica.ask("GET", "/v1/status")).json as {
      readonly [name: string]: unknown;
    };
    known = { exchanges, tunnels, connections };
    return exchanges === 0 && tunnels === 0 && connections === 0;
  }).catch((error: Error) => assert.fail(`${error.message}; ${JSON.stringify(known)}`));
}

/** So seldom that a request finds a killed node first: one that fails its checks is not dialled, and so never known as dead. */
const CHECKS = ["--check-path", "/healthz", "--check-interval", "2s"];
const SKIP = WITHOUT_REDIS || WITHOUT_CHROMIUM;

describe("two replicas under load, operated by command line, API and page", { skip: SKIP }, () => {
  let browser: Browser;

  before(async () => {
    browser = await startChromium();
  });
  after(() => browser.close());

  for (const [variant, checks] of [
    ["without checks", []],
    ["with HTTP checks", CHECKS],
  ] as const)
    it(`lose nothing but POSTs that a killed node had read, and show it all as it happens, ${variant}`, async (t) => {
      const picture = (name: string) => takePicture(one.page, `story-${checks.length}-${name}`);
      const redis = await startRedis(t);
      const nodes = await Promise.all(["a", "b", "c", "d", "e"].map((name) => startNodeProcess(t, { name })));
      const [a, b, c, d, e] = nodes;
      const args = ["--nodes", [a, b, c].map(idOf).join(","), ...checks];
      const replicas = await Promise.all([1, 2].map(() => startReplica(t, browser, args, redis.url)));
      const [one, two] = replicas;
      for (const node of [a, b, c]) await shown(replicas, node, "Serving");
      const load = startMixedLoad(
        t,
        replicas.map(({ port }) => port),
      );
      const served = async (names: readonly string[]) => {
        const all = await Promise.all(replicas.map(({ port }) => load.served(port)));
        assert.deepEqual(all, [names, names]);
      };
      await served(["a", "b", "c"]);
      const streamAtA = await holdStream(t, one, a);
      const streamAtC = await holdStream(t, one, c);
      const tunnelAtC = await holdTunnel(t, two, c);

      // Added by the command line at one, by the API at the other.
      assert.equal(await one.cli("nodes", "add", idOf(d)), `${idOf(d)}: added to cluster default\n`);
      await shown(replicas, d, "Serving");
      await changeShown(one, d, /^joined: /);
      const added = await two.ask("POST", LIST, { node: idOf(e) });
      assert.equal(added.status, 201);
      await shown(replicas, e, "Serving");
      await untilAgreed(
        t,
        replicas,
        nodes.map((node) => said(node)),
      );
      await served(["a", "b", "c", "d", "e"]);
      if (checks.length > 0) {
        for (const { output } of [d, e]) assert.equal(/^seen .*$/m.exec(output.text)?.[0], "seen GET /healthz");
      }
      await picture("1-added");

      // Drained by the page; the command line waits for what runs there.
      await one.page.getByRole("button", { name: `Drain ${idOf(a)}` }).click();
      await shown(replicas, a, "Draining");
      await changeShown(one, a, /^Serving → Draining$/);
      await untilAgreed(t, replicas, [said(a, { mode: "draining" }), ...[b, c, d, e].map((node) => said(node))]);
      await served(["b", "c", "d", "e"]);
      await inFlightShown(one, a, 1);
      await inFlightShown(two, a, 0);
      await picture("2-draining");
      const drain = one.startCli("nodes", "drain", idOf(a));
      await drain.stdout.untilText(`${idOf(a)}: draining, 1 in flight\n`);
      assert.match(drain.stdout.text, /: draining already\n/);
      await streamAtA.finish();
      assert.equal(await drain.ended(), 0);
      assert.match(drain.stdout.text, /: drained\n$/);
      await inFlightShown(one, a, 0);

      // Killed and restarted by whoever it was.
      const checkLostPosts = await killUnderLoad(t, replicas, b, load);
      await shown(replicas, b, "Dead");
      // By way of suspicion, where the requests that broke were the first on their connections.
      await changeShown(one, b, /→ .*Dead/);
      await served(["c", "d", "e"]);
      checkLostPosts();
      await picture("3-dead");
      await b.restart();
      await shown(replicas, b, "Serving");
      await changeShown(one, b, /Dead.* → /);
      await untilState(replicas, b, "serving");
      await served(["b", "c", "d", "e"]);

      // Weighted by the command line.
      assert.equal(await two.cli("nodes", "weight", `${idOf(e)}=3`), `${idOf(e)}: weight 3\n`);
      await shown(replicas, e, "weight 3");
      await untilAgreed(t, replicas, [
        said(a, { mode: "draining" }),
        ...[b, c, d].map((node) => said(node)),
        said(e, { weight: 3 }),
      ]);

      // Removed by the page, with work of both replicas.
      await streamAtC.exchange();
      await tunnelAtC.exchange();
      for (const replica of replicas) assert.ok((await nodeOf(replica, c)).inFlight >= 1);
      await two.page.getByRole("button", { name: `Manage ${idOf(c)}` }).click();
      await two.page.getByRole("button", { name: "Remove node" }).click();
      await two.page.getByRole("button", { name: "Yes, remove it" }).click();
      await Promise.all(replicas.map((replica) => rowOf(replica, c).waitFor({ state: "detached" })));
      await changeShown(one, c, /^left$/);
      await untilAgreed(t, replicas, [said(a, { mode: "draining" }), said(b), said(d), said(e, { weight: 3 })]);
      await served(["b", "d", "e"]);
      await picture("4-removed");
      for (const held of [streamAtC, tunnelAtC]) {
        await held.exchange();
        await held.finish();
      }

      // As it was, and with the two that were added.
      await two.page.getByRole("button", { name: `Enable ${idOf(a)}` }).click();
      assert.equal(await one.cli("nodes", "weight", `${idOf(e)}=config`), `${idOf(e)}: weight as in the config\n`);
      assert.equal((await one.ask("PUT", pathOf(c), {})).status, 201);
      for (const node of nodes) await shown(replicas, node, "Serving");
      for (const replica of replicas) await rowOf(replica, e).getByText("weight 3").waitFor({ state: "detached" });
      await untilAgreed(
        t,
        replicas,
        nodes.map((node) => said(node)),
      );
      await served(["a", "b", "c", "d", "e"]);
      await picture("5-enabled");

      await load.stop();
      assert.deepEqual(load.lost, []);
      checkLostPosts();
      t.diagnostic(
        `${load.answered} calls were answered, ${load.lostPosts.length} POSTs were at the node that was killed`,
      );
      for (const replica of replicas) {
        await untilIdle(replica);
        // The browser itself writes down that it was refused.
        const complaints = replica.watched.complaints.filter((text) => !text.includes("401"));
        assert.deepEqual(complaints, []);
      }
      for (const { program } of replicas) program.signal("SIGTERM");
      for (const { program } of replicas) assert.deepEqual([await program.ended(), program.stderr.text], [0, ""]);
      await one.page.getByRole("alert").getByText("Connection lost").waitFor();
    });
});
