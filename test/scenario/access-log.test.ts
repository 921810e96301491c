import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { oneCluster, startBalancer, type TestBalancer } from "../support/balancer.js";
import { startFunctionNode } from "../support/function-node.js";
import { pathsOf } from "../support/paths.js";
import { startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: fn.example\r\n\r\n`;

function logPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "fnlb-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, "access.log");
}

/** The lines that the balancer has written once it is closed. */
async function linesAfterClose({ balancer }: TestBalancer, path: string): Promise<Record<string, unknown>[]> {
  await balancer.close();
  return readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("access log", () => {
  it("says per request what was asked, who answered, how many bytes went each way and how long each part took", async (t) => {
    const path = logPath(t);
    const node = await startFunctionNode(t, {
      name: "a",
      answer: (_request, response) => response.end("x".repeat(1234)),
    });
    const started = await startBalancer(t, { nodes: [node.port], accessLog: path });
    const client = await connectClient(t, started.port);
    await client
      .ask('POST /f?q="1" HTTP/1.1\r\nHost: fn.example\r\nContent-Length: 5\r\n\r\nhello', "POST")
      .catch(() => undefined);
    await client.ask(get("/g"));
    const [first, second] = await linesAfterClose(started, path);
    assert.deepEqual(
      [first.method, first.host, first.target, first.status, first.node, first.attempts, first.bytesIn, first.bytesOut],
      ["POST", "fn.example", '/f?q="1"', 200, node.address, 1, 5, 1234],
    );
    assert.deepEqual(
      [first.client, first.endedBy, first.phase, second.method, second.target],
      ["127.0.0.1", "-", "done", "GET", "/g"],
    );
    assert.match(String(first.time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    for (const time of ["queueMs", "connectMs", "firstByteMs", "totalMs"])
      assert.ok((first[time] as number) >= 0, time);
  });

  it("has the fields that it is told to keep, those of a new config from its first request on", async (t) => {
    const path = logPath(t);
    const node = await startFunctionNode(t, { name: "a" });
    const accessLogFields = ["user-agent", "x-a", "__proto__"];
    const started = await startBalancer(t, { nodes: [node.port], accessLog: path, accessLogFields });
    const client = await connectClient(t, started.port);
    const ask = (fields: string) => client.ask(`GET / HTTP/1.1\r\nHost: fn\r\n${fields}\r\n`);
    await ask('User-Agent: "quoted" \\ agent\r\nX-A: 1\r\nCookie: secret=1\r\nx-a: 2\r\n__proto__: odd\r\n');
    await ask("Accept: */*\r\n");
    await started.balancer.reload(oneCluster({ ...started.config, accessLogFields: ["accept"] }));
    await ask("Accept: */*\r\nUser-Agent: x\r\n");
    await started.balancer.reload(oneCluster({ ...started.config, accessLogFields: [] }));
    await ask("Accept: */*\r\n");
    const lines = await linesAfterClose(started, path);
    assert.deepEqual(
      lines.map(({ headers }) => headers && Object.entries(headers)),
      [
        [
          ["user-agent", '"quoted" \\ agent'],
          ["x-a", "1, 2"],
          ["__proto__", "odd"],
        ],
        [],
        [["accept", "*/*"]],
        undefined,
      ],
    );
    assert.ok(lines.every((line) => !("tls" in line)));
  });

  it("counts attempts and names the node that answered in the end", async (t) => {
    const path = logPath(t);
    const bad = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.destroy()));
    const good = await startFunctionNode(t, { name: "good" });
    const started = await startBalancer(t, { nodes: [bad.port, good.port], accessLog: path });
    const client = await connectClient(t, started.port);
    await client.ask(get(pathsOf(started.config.nodes, `127.0.0.1:${bad.port}`, 1)[0]));
    const [line] = await linesAfterClose(started, path);
    assert.deepEqual([line.node, line.attempts, line.status], [good.address, 2, 200]);
  });

  it("says who ended a request, and in which phase", async (t) => {
    const path = logPath(t);
    const origin = await startRawOrigin(t);
    const started = await startBalancer(t, { nodes: [origin.port], accessLog: path, silenceMs: 0 });
    const { port, until } = started;
    const ended = (count: number) =>
      until("the end of the exchange", ({ exchanges, counters }) => exchanges === 0 && counters.requests === count);

    const waiting = await connectClient(t, port);
    waiting.send(get("/left-while-waiting"));
    await (await origin.accept()).log.untilText("\r\n\r\n");
    waiting.reset();
    await ended(1);

    const uploading = await connectClient(t, port);
    uploading.send("POST /left-in-body HTTP/1.1\r\nHost: fn\r\nContent-Length: 10\r\n\r\nhalf");
    await (await origin.accept()).log.untilText("half");
    uploading.reset();
    await ended(2);

    const reading = await connectClient(t, port);
    reading.send(get("/node-broke-off"));
    const sender = await origin.accept();
    await sender.log.untilText("\r\n\r\n");
    sender.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    await reading.log.untilText("half");
    sender.destroy();
    await reading.log.untilClosed();

    const refused = await connectClient(t, port);
    await refused.ask("GET /bad HTTP/1.1\r\n\r\n");

    const closed = await connectClient(t, port);
    closed.send("POST /closed HTTP/1.1\r\nHost: fn\r\nContent-Length: 1\r\n\r\nx");
    const closing = await origin.accept();
    await closing.log.untilText("\r\n\r\nx");
    closing.destroy();
    await closed.response("POST");

    await origin.stop();
    const lost = await connectClient(t, port);
    await lost.ask(get("/lost"));

    const lines = await linesAfterClose(started, path);
    assert.deepEqual(
      lines.map(({ target, status, endedBy, phase, code }) => [target, status, endedBy, phase, code]),
      [
        ["/left-while-waiting", 0, "client", "wait", undefined],
        ["/left-in-body", 0, "client", "request-body", undefined],
        ["/node-broke-off", 200, "node", "response-body", undefined],
        [null, 400, "client", "head", "ERR_BAD_REQUEST"],
        ["/closed", 502, "node", "wait", "ERR_NODE_CLOSED"],
        ["/lost", 502, "node", "connect", "ERR_NO_FALLBACK_NODE_FOUND"],
      ],
    );
  });

  it("goes on in a new file after a rotation, with no line lost or cut", async (t) => {
    const path = logPath(t);
    const node = await startFunctionNode(t, { name: "a" });
    const started = await startBalancer(t, { nodes: [node.port], accessLog: path });
    const client = await connectClient(t, started.port);
    await client.ask(get("/before"));
    renameSync(path, `${path}.1`);
    started.balancer.reopenLogs();
    await client.ask(get("/after"));
    await started.balancer.close();
    assert.match(readFileSync(`${path}.1`, "utf8"), /^\{.*"target":"\/before".*\}\n$/);
    assert.match(readFileSync(path, "utf8"), /^\{.*"target":"\/after".*\}\n$/);
  });

  it("keeps the old file, and the process, when the new one cannot be opened", async (t) => {
    const path = logPath(t);
    const node = await startFunctionNode(t, { name: "a" });
    const started = await startBalancer(t, { nodes: [node.port], accessLog: path });
    const folder = dirname(path);
    renameSync(folder, `${folder}-moved`);
    started.balancer.reopenLogs();
    assert.equal((await started.event("access_log_reopen_failed")).code, "ENOENT");
    const client = await connectClient(t, started.port);
    await client.ask(get("/on"));
    await started.balancer.close();
    renameSync(`${folder}-moved`, folder);
    const kept = readFileSync(path, "utf8");
    assert.match(kept, /"target":"\/on"/);
  });

  it("refuses to start on a file that cannot be written", async (t) => {
    await assert.rejects(startBalancer(t, { nodes: [1], accessLog: "/nowhere/access.log" }), { code: "ERR_OPTION" });
  });
});
