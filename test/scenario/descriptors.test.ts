import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { describe, it } from "node:test";
import { ByteLog } from "../support/byte-log.js";
import { environment, PROGRAM } from "../support/program.js";
import { ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";

const NOFILE = 100;
const CLIENTS = 50;

describe("running out of descriptors", () => {
  it("answers 503 for what cannot be dialled, blames no node, and goes on when there are descriptors again", async (t) => {
    let open = () => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const origin = await startRawOrigin(t, (peer) => {
      peer.socket.on("data", () => void opened.then(() => peer.send(ok("served"))));
    });
    // More clients are admitted than there are descriptors for both of their connections: the default would not.
    const args = [
      "--listen",
      "127.0.0.1:0",
      "--nodes",
      `127.0.0.1:${origin.port}`,
      "--connections",
      "1000",
      "--silence",
      "0",
    ];
    const shell = spawn("sh", ["-c", `ulimit -n ${NOFILE}; exec "$0" "$@"`, process.execPath, PROGRAM, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
      env: environment(),
    });
    const log = new ByteLog();
    shell.stdout.on("data", (chunk: Buffer) => log.add(chunk));
    t.after(() => shell.kill("SIGKILL"));
    const port = Number(await log.until("the listener", () => /listening to 127\.0\.0\.1:(\d+)/.exec(log.text)?.[1]));

    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connectClient(t, port)));
    // All of them are accepted before the first dial: at the limit the runtime would accept and close them.
    for (const client of clients) await client.ask("OPTIONS * HTTP/1.1\r\nHost: fnlb\r\n\r\n");
    const get = "GET /f HTTP/1.1\r\nHost: fn\r\n\r\n";
    const answers = clients.map((client) => {
      client.send(get);
      return client.response();
    });
    await log.untilText('"event":"dial_own_fault"');
    assert.match(log.text, /"code":"EMFILE"/);
    // What was dialled in time waits at the node, which answers now.
    open();
    const seen = await Promise.all(answers);
    const refused = seen.filter(({ status }) => status === 503);
    assert.ok(refused.length > 0 && refused.length < CLIENTS, `${refused.length} refused`);
    for (const response of refused) {
      assert.deepEqual([response.json().code, response.header("retry-after")], ["ERR_RESOURCES", "1"]);
    }
    assert.equal(seen.filter(({ status }) => status === 200).length, CLIENTS - refused.length);
    assert.doesNotMatch(log.text, /node_dead/);

    for (const client of clients.slice(1)) client.destroy();
    assert.equal((await clients[0].ask(get)).status, 200);
    shell.kill("SIGTERM");
    clients[0].destroy();
    const code = await new Promise((resolve) => shell.once("exit", resolve));
    assert.equal(code, 0);
  });
});
