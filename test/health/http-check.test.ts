import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, it, type TestContext } from "node:test";
import { createNode, type Node, type NodeAddress } from "../../src/core/node.js";
import type { Dial, DialTarget } from "../../src/core/stream.js";
import type { CheckResult } from "../../src/health/check-answer.js";
import { type HttpCheckOptions, httpCheck } from "../../src/health/http-check.js";
import { openSockets } from "../../src/system/sockets.js";
import { eventually, FakeClock } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { startBlackHole } from "../support/node-process.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import type { RawPeer } from "../support/raw-peer.js";
import { WatchedDial } from "../support/watched-dial.js";

/** The defaults of the program, written out. */
const DEFAULTS: HttpCheckOptions = {
  path: "/health",
  method: "GET",
  host: "",
  timeoutMs: 5000,
  statuses: [[200, 299]],
  bodyIncludes: "",
  bodyBytesMax: 64 * 1024,
  minVersion: "",
};

const passed: CheckResult = { passed: true };
const failed = (reason: string): CheckResult => ({ passed: false, reason });
const nothing = (reason: string): CheckResult => ({ passed: undefined, reason });

let dial: Dial;
before(async () => {
  const onFallback = (reason: string) => assert.fail(reason);
  ({ dial } = await openSockets({ preference: process.env.FNLB_SOCKETS, onFallback }));
});

function tcpNode(port: number, { basePath = "", host = "127.0.0.1" } = {}): Node {
  return nodeAt({ kind: "tcp", host, port, basePath });
}

function nodeAt(address: NodeAddress): Node {
  return createNode("node", 0, address, 1);
}

function targetsOf({ address }: Node): readonly DialTarget[] {
  return [address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port }];
}

/** A check on a clock that stands still; when the test is over no socket, dial or alarm may be left of it. */
function checker(t: TestContext, options: Partial<HttpCheckOptions> = {}, dependencies = {}, dialled = dial) {
  const clock = new FakeClock();
  const watched = new WatchedDial(dialled);
  const check = httpCheck({ clock, dial: watched.dial, targetsOf, ...dependencies }, { ...DEFAULTS, ...options });
  const stop = new AbortController();
  const assertIdle = async () => {
    assert.equal(clock.pending, 0, "an alarm was left");
    assert.equal(getEventListeners(stop.signal, "abort").length, 0, "a listener was left");
    await eventually(() => watched.isIdle);
  };
  t.after(assertIdle);
  return {
    clock,
    watched,
    stop,
    assertIdle,
    /** Starts a check; `result` stays undefined as long as it lasts. */
    begin(node: Node) {
      const state = { result: undefined as CheckResult | undefined, done: Promise.resolve() };
      state.done = check(node, stop.signal).then((result) => {
        state.result = result;
      });
      return state;
    },
    /** A whole check; it must leave nothing behind. */
    async of(node: Node): Promise<CheckResult> {
      const result = await check(node, stop.signal);
      await assertIdle();
      return result;
    },
  };
}

/** The result of one check of a node that answers these bytes and then does as `after` says. */
async function resultOf(
  t: TestContext,
  response: string | Buffer,
  options: Partial<HttpCheckOptions> = {},
  after: (peer: RawPeer) => void = () => {},
): Promise<CheckResult> {
  const origin = await startRawOrigin(t, (peer) => {
    peer.log.untilText("\r\n\r\n").then(
      () => {
        peer.send(response);
        after(peer);
      },
      () => {},
    );
  });
  return checker(t, options).of(tcpNode(origin.port));
}

const answer = (status: string, body = "") =>
  `HTTP/1.1 ${status}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const version = (value: unknown) => answer("200 OK", JSON.stringify({ version: value }));
const finish = (peer: RawPeer) => peer.end();

describe("the request of an HTTP check", () => {
  const requestTo = async (t: TestContext, options: Partial<HttpCheckOptions>, address = {}) => {
    const origin = await startRawOrigin(t, answering(ok("")));
    assert.deepEqual(await checker(t, options).of(tcpNode(origin.port, address)), passed);
    return { text: origin.connections[0].text, port: origin.port };
  };

  it("is one GET with the node's own host, on a connection that it asks to close", async (t) => {
    const { text, port } = await requestTo(t, {});
    assert.equal(
      text,
      `GET /health HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: fnlb-check\r\nConnection: close\r\n\r\n`,
    );
  });

  it("goes below the base path of the node", async (t) => {
    const { text } = await requestTo(t, { path: "/health?deep=1" }, { basePath: "/base" });
    assert.match(text, /^GET \/base\/health\?deep=1 HTTP\/1\.1\r\n/);
  });

  it("has the host and the method that it was given", async (t) => {
    const { text } = await requestTo(t, { host: "fn.example:80", method: "HEAD" });
    assert.match(text, /^HEAD \/health HTTP\/1\.1\r\nHost: fn\.example:80\r\n/);
  });

  it("takes a fresh connection for each check", async (t) => {
    const origin = await startRawOrigin(t, answering(ok("")));
    const check = checker(t);
    for (let count = 1; count <= 3; count++) {
      assert.deepEqual(await check.of(tcpNode(origin.port)), passed);
      assert.equal(origin.connections.length, count);
    }
  });

  it("reaches a unix socket", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "fnlb-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "fn.sock");
    let request = "";
    const server = createServer((socket) =>
      socket.on("data", (chunk) => {
        request += chunk.toString("latin1");
        socket.write(ok(""));
      }),
    );
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const node = nodeAt({ kind: "unix", path, basePath: "/base" });
    assert.deepEqual(await checker(t).of(node), passed);
    assert.match(request, /^GET \/base\/health HTTP\/1\.1\r\nHost: localhost\r\n/);
    await new Promise((resolve) => server.close(resolve));
    assert.deepEqual(await checker(t).of(node), failed("refused"), "nobody listens there any more");
  });

  it("is understood by the runtime's own HTTP server", async (t) => {
    const node = await startFunctionNode(t, { name: "node" });
    assert.deepEqual(await checker(t, { bodyIncludes: '"target":"/health"' }).of(tcpNode(node.port)), passed);
    assert.deepEqual(await checker(t, { method: "HEAD" }).of(tcpNode(node.port)), passed);
  });
});

describe("the status that an HTTP check expects", () => {
  it("is any of 200 to 299 by default", async (t) => {
    for (const status of ["200 OK", "204 No Content", "299 X"])
      assert.deepEqual(await resultOf(t, answer(status)), passed);
    for (const status of ["300 X", "302 Found", "404 Not Found", "500 X", "503 Service Unavailable"])
      assert.deepEqual(await resultOf(t, answer(status)), failed(`status ${status.slice(0, 3)}`));
  });

  it("is in one of the ranges, both ends included", async (t) => {
    const statuses = [
      [200, 299],
      [404, 404],
    ] as const;
    for (const status of [200, 299, 404])
      assert.deepEqual(await resultOf(t, answer(`${status} X`), { statuses }), passed);
    for (const status of [300, 403, 405])
      assert.deepEqual(await resultOf(t, answer(`${status} X`), { statuses }), failed(`status ${status}`));
  });

  it("decides alone, before the body has come, where the body is not looked at", async (t) => {
    assert.deepEqual(await resultOf(t, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), passed);
    assert.deepEqual(await resultOf(t, "HTTP/1.1 500 X\r\nContent-Length: 1000\r\n\r\n"), failed("status 500"));
  });

  it("is that of the final response: interim ones are skipped", async (t) => {
    const interims = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    assert.deepEqual(await resultOf(t, interims + answer("200 OK")), passed);
    assert.deepEqual(await resultOf(t, interims + answer("503 X")), failed("status 503"));
    assert.deepEqual(await resultOf(t, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), failed("status 101"));
  });
});

describe("the body that an HTTP check expects", () => {
  const options = { bodyIncludes: "zdráv" };
  const well = Buffer.from("je zdráv!");

  it("contains a text, byte for byte in UTF-8", async (t) => {
    assert.deepEqual(await resultOf(t, Buffer.from(answer("200 OK", "je zdráv!")), options), passed);
    assert.deepEqual(await resultOf(t, Buffer.from(answer("200 OK", "je zdrav!")), options), failed("body"));
    assert.deepEqual(await resultOf(t, answer("204 No Content"), options), failed("body"));
  });

  it("may come in chunks that split the text", async (t) => {
    const chunks = [...well].map((byte) => Buffer.from([0x31, 0x0d, 0x0a, byte, 0x0d, 0x0a]));
    const head = Buffer.from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert.deepEqual(await resultOf(t, Buffer.concat([head, ...chunks, Buffer.from("0\r\n\r\n")]), options), passed);
  });

  it("may last until the node closes", async (t) => {
    const response = Buffer.concat([Buffer.from("HTTP/1.0 200 OK\r\n\r\n"), well]);
    assert.deepEqual(await resultOf(t, response, options, finish), passed);
    assert.deepEqual(await resultOf(t, "HTTP/1.1 200 OK\r\n\r\nill", options, finish), failed("body"));
  });

  it("must be complete: what breaks off fails although the text has come", async (t) => {
    const cut = Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"), well]);
    assert.deepEqual(await resultOf(t, cut, options, finish), failed("closed"));
    const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n";
    assert.deepEqual(await resultOf(t, chunked, { bodyIncludes: "well" }, finish), failed("closed"));
    const untilClose = "HTTP/1.1 200 OK\r\n\r\nwell";
    const origin = await startRawOrigin(t);
    const check = checker(t, { bodyIncludes: "well" });
    const state = check.begin(tcpNode(origin.port));
    const peer = await origin.accept();
    peer.send(untilClose);
    await eventually(() => check.watched.bytesSeen === untilClose.length);
    peer.reset();
    await state.done;
    assert.deepEqual(state.result, failed("reset"));
  });

  it("is read up to its limit, and judged by that", async (t) => {
    const limit = { bodyBytesMax: 10, bodyIncludes: "well" };
    for (const [body, result] of [
      ["------well", passed],
      ["well-------and more", passed],
      ["-------well", failed("body too large")],
      ["-----------", failed("body too large")],
      ["----------", failed("body")],
    ] as const) {
      assert.deepEqual(await resultOf(t, answer("200 OK", body), limit), result, body);
      assert.deepEqual(
        await resultOf(t, `HTTP/1.1 200 OK\r\n\r\n${body}`, limit, finish),
        result,
        `${body} until close`,
      );
    }
  });

  it("ends an answer without end at the limit, and closes its connection", async (t) => {
    const origin = await startRawOrigin(t, (peer) => {
      const flood = () => {
        while (peer.socket.writable && peer.socket.write(Buffer.alloc(16 * 1024, "x")));
      };
      peer.socket.on("drain", flood);
      peer.send("HTTP/1.1 200 OK\r\n\r\n");
      flood();
    });
    const check = checker(t, { bodyIncludes: "well" });
    assert.deepEqual(await check.of(tcpNode(origin.port)), failed("body too large"));
    await origin.connections[0].log.untilClosed();
  });
});

describe("the version that an HTTP check expects", () => {
  const options = { path: "/version", minVersion: "0.0.235" };

  it("FB10: is not below the minimum", async (t) => {
    for (const good of ["0.0.235", "0.0.236", "0.1.0", "1.0.0-rc.1", "0.0.235+build"])
      assert.deepEqual(await resultOf(t, version(good), options), passed, good);
    for (const old of ["0.0.234", "0.0.99", "0.0.235-rc.1"])
      assert.deepEqual(await resultOf(t, version(old), options), failed(`version ${old}`));
  });

  it("FB10: is one: anything else fails and hurts nobody", async (t) => {
    for (const bad of ["", "v0.0.235", "1", "1.0", "01.0.0", " 1.0.0", "latest", 1, 1.5, null, true, ["1.0.0"], {}])
      assert.deepEqual(await resultOf(t, version(bad), options), failed("no version"), JSON.stringify(bad));
    for (const body of [
      "{}",
      "[]",
      "null",
      "1",
      '"1.0.0"',
      '["version"]',
      '{"Version":"1.0.0"}',
      '{"__proto__":{"version":"1.0.0"}}',
    ])
      assert.deepEqual(await resultOf(t, answer("200 OK", body), options), failed("no version"), body);
  });

  it("FB10: is in JSON", async (t) => {
    for (const body of ["", "1.0.0", "<html>", '{"version":"1.0.0"', '{"version":"1.0.0"}}', "[".repeat(60_000)])
      assert.deepEqual(await resultOf(t, answer("200 OK", body), options), failed("not JSON"), body.slice(0, 20));
  });

  it("counts only with a status that fits; every status does if the operator says so", async (t) => {
    const response = answer("503 X", '{"version":"1.0.0"}');
    assert.deepEqual(await resultOf(t, response, options), failed("status 503"));
    assert.deepEqual(await resultOf(t, response, { ...options, statuses: [[100, 599]] }), passed);
  });

  it("is looked for besides a text", async (t) => {
    const both = { ...options, bodyIncludes: "version" };
    assert.deepEqual(await resultOf(t, version("1.0.0"), both), passed);
    assert.deepEqual(await resultOf(t, version("0.0.1"), both), failed("version 0.0.1"));
    assert.deepEqual(await resultOf(t, version("1.0.0"), { ...options, bodyIncludes: "Version" }), failed("body"));
  });

  it("is not looked for in half of a body", async (t) => {
    const body = `{"version":"1.0.0"}${" ".repeat(100)}`;
    assert.deepEqual(await resultOf(t, answer("200 OK", body), options), passed);
    assert.deepEqual(
      await resultOf(t, answer("200 OK", body), { ...options, bodyBytesMax: 50 }),
      failed("body too large"),
    );
  });
});

describe("an HTTP check of a node that does not answer well", () => {
  it("says why", async (t) => {
    for (const [reason, response] of [
      ["malformed", "SSH-2.0-OpenSSH_9.6\r\n"],
      ["malformed", "HTTP/2 200\r\n\r\n"],
      ["malformed", "HTTP/1.1 200 OK\n\n"],
      ["malformed", "HTTP/1.1 2oo OK\r\n\r\n"],
      ["malformed", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"],
      ["malformed", "\u0000\u0001\u0002"],
      ["head too large", `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}\r\n\r\n`],
      ["closed", ""],
      ["closed", "HTTP/1.1 200"],
      ["closed", "HTTP/1.1 200 OK\r\nContent-Le"],
      ["closed", "HTTP/1.1 100 Continue\r\n\r\n"],
    ] as const) {
      assert.deepEqual(await resultOf(t, response, {}, finish), failed(reason), JSON.stringify(response.slice(0, 40)));
    }
    const chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nwell";
    assert.deepEqual(await resultOf(t, chunks, { bodyIncludes: "well" }), failed("malformed"));
  });

  it("is refused where nobody listens", async (t) => {
    const origin = await startRawOrigin(t);
    await origin.stop();
    assert.deepEqual(await checker(t).of(tcpNode(origin.port)), failed("refused"));
  });

  it("is reset by a node that resets", async (t) => {
    const origin = await startRawOrigin(t, (peer) => peer.reset());
    assert.deepEqual(await checker(t).of(tcpNode(origin.port)), failed("reset"));
  });

  it("has nobody to ask while the name of the node has no address", async (t) => {
    const check = checker(t, {}, { targetsOf: () => [] });
    assert.deepEqual(await check.of(tcpNode(80, { host: "nowhere.example" })), failed("unresolved"));
  });

  it("asks at each address of its name in turn", async (t) => {
    const gone = await startRawOrigin(t);
    await gone.stop();
    const origin = await startRawOrigin(t, answering(ok("")));
    const targets = [gone, origin].map(({ port }) => ({ host: "127.0.0.1", port }));
    const check = checker(t, {}, { targetsOf: () => targets });
    assert.deepEqual(await check.of(tcpNode(80, { host: "fn.example" })), passed);
    await origin.stop();
    assert.deepEqual(await check.of(tcpNode(80, { host: "fn.example" })), failed("refused"));
    assert.equal(check.watched.count, 4);
  });

  for (const [code, reason] of [
    ["EHOSTUNREACH", "unreachable"],
    ["ENETUNREACH", "unreachable"],
    ["ETIMEDOUT", "timeout"],
    ["EACCES", "EACCES"],
  ] as const) {
    it(`fails as ${reason} when a dial ends with ${code}`, async (t) => {
      assert.deepEqual(await checker(t, {}, {}, failingDial(code)).of(tcpNode(80)), failed(reason));
    });
  }

  for (const code of ["EMFILE", "ENFILE", "EADDRNOTAVAIL"]) {
    it(`says nothing about the node when the fault is our own: ${code}`, async (t) => {
      const targets = [
        { host: "127.0.0.1", port: 1 },
        { host: "127.0.0.1", port: 2 },
      ];
      const check = checker(t, {}, { targetsOf: () => targets }, failingDial(code));
      assert.deepEqual(await check.of(tcpNode(80)), nothing(code));
      assert.equal(check.watched.count, 1, "it would be no better at the next address");
    });
  }
});

function failingDial(code: string): Dial {
  return (_target, handler) => {
    const timer = setImmediate(() => handler.onDialFailed(code));
    return () => clearImmediate(timer);
  };
}

/** The stages of a check in which a node may stop: what it has sent by then. */
const STAGES: readonly (readonly [string, string])[] = [
  ["before a byte", ""],
  ["within the status line", "HTTP/1.1 2"],
  ["within the head", "HTTP/1.1 200 OK\r\nX: y\r\n"],
  ["after an interim response", "HTTP/1.1 100 Continue\r\n\r\n"],
  ["within a counted body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nwell"],
  ["within a chunked body", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n"],
  ["within a body until close", "HTTP/1.1 200 OK\r\n\r\nwell"],
];

/** A check of a node that has sent `sent` and says no more; at the end the node must see its connection go. */
async function stuckCheck(t: TestContext, sent: string) {
  const origin = await startRawOrigin(t);
  const check = checker(t, { bodyIncludes: "well" });
  const state = check.begin(tcpNode(origin.port));
  const peer = await origin.accept();
  await peer.log.untilText("\r\n\r\n");
  peer.send(sent);
  await eventually(() => check.watched.bytesSeen === sent.length);
  return { ...check, peer, state };
}

describe("an HTTP check of a node that stops", () => {
  for (const [stage, sent] of STAGES) {
    it(`fails at its timeout ${stage}, and closes`, async (t) => {
      const { clock, peer, state, assertIdle } = await stuckCheck(t, sent);
      await clock.advance(4999);
      assert.equal(state.result, undefined);
      await clock.advance(1);
      assert.deepEqual(state.result, failed("timeout"));
      await assertIdle();
      await peer.log.untilEnd();
    });
  }

  it("fails at its timeout although bytes still come: it counts for the whole", async (t) => {
    const { clock, peer, state, watched } = await stuckCheck(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    for (let second = 1; second < 5; second++) {
      await clock.advance(1000);
      const seen = watched.bytesSeen;
      peer.send("well");
      await eventually(() => watched.bytesSeen === seen + 4);
      assert.equal(state.result, undefined);
    }
    await clock.advance(1000);
    assert.deepEqual(state.result, failed("timeout"));
    await peer.log.untilEnd();
  });

  it("fails at its timeout in a black hole, over all addresses together", async (t) => {
    const hole = await startBlackHole(t);
    const gone = await startRawOrigin(t);
    await gone.stop();
    const targets = [gone, hole, hole].map(({ port }) => ({ host: "127.0.0.1", port }));
    const check = checker(t, {}, { targetsOf: () => targets });
    const state = check.begin(tcpNode(80, { host: "fn.example" }));
    await eventually(() => check.watched.count === 2);
    await check.clock.advance(4999);
    assert.equal(state.result, undefined);
    await check.clock.advance(1);
    assert.deepEqual(state.result, failed("timeout"));
    assert.equal(check.watched.count, 2);
    await check.assertIdle();
  });
});

describe("a stopped HTTP check", () => {
  for (const [stage, sent] of STAGES) {
    it(`ends at once ${stage}, and closes`, async (t) => {
      const { peer, state, stop, assertIdle } = await stuckCheck(t, sent);
      stop.abort();
      await state.done;
      assert.deepEqual(state.result, nothing("stopped"));
      await assertIdle();
      await peer.log.untilEnd();
    });
  }

  it("ends at once while it dials a black hole", async (t) => {
    const hole = await startBlackHole(t);
    const check = checker(t);
    const state = check.begin(tcpNode(hole.port));
    assert.equal(check.watched.dialling, 1);
    check.stop.abort();
    await state.done;
    assert.deepEqual(state.result, nothing("stopped"));
    assert.ok(check.watched.isIdle);
  });

  it("ends at once between dial and connection", async (t) => {
    const origin = await startRawOrigin(t);
    const check = checker(t);
    const state = check.begin(tcpNode(origin.port));
    check.stop.abort();
    await state.done;
    assert.deepEqual(state.result, nothing("stopped"));
    assert.ok(check.watched.isIdle);
  });

  it("does not begin", async (t) => {
    const check = checker(t);
    check.stop.abort();
    assert.deepEqual(await check.of(tcpNode(80)), nothing("stopped"));
    assert.equal(check.watched.count, 0);
  });
});

describe("the options of an HTTP check", () => {
  const check = (options: Partial<HttpCheckOptions>) => () =>
    httpCheck({ clock: new FakeClock(), dial, targetsOf }, { ...DEFAULTS, ...options });

  it("are refused when they cannot be sent, or when no answer could fit", () => {
    for (const [options, option] of [
      [{ path: "" }, "check-path"],
      [{ path: "health" }, "check-path"],
      [{ path: "/a b" }, "check-path"],
      [{ path: "/a#b" }, "check-path"],
      [{ path: "/a\r\nX: y" }, "check-path"],
      [{ path: "/ä" }, "check-path"],
      [{ host: "a b" }, "check-host"],
      [{ host: "a\r\nX: y" }, "check-host"],
      [{ timeoutMs: 0 }, "check-timeout"],
      [{ timeoutMs: Number.NaN }, "check-timeout"],
      [{ bodyBytesMax: 0 }, "bodyBytesMax"],
      [{ statuses: [] }, "check-statuses"],
      [{ minVersion: "1.0" }, "check-min-version"],
      [{ method: "HEAD", bodyIncludes: "well" }, "check-method"],
      [{ method: "HEAD", minVersion: "1.0.0" }, "check-method"],
    ] as const)
      assert.throws(check(options), (error: Error & { code?: string }) => {
        assert.equal(error.code, "ERR_OPTION");
        assert.match(error.message, new RegExp(`^option "${option}" must be .*, got `, "s"));
        return true;
      });
  });

  it("may name any path and host that a request could", () => {
    for (const path of ["/", "/health?a=b&c=%20", "/a;b=1/~c/$!'()*,:@"]) assert.doesNotThrow(check({ path }), path);
    for (const host of ["", "fn", "fn.example:8080", "[::1]:8080"]) assert.doesNotThrow(check({ host }), host);
  });
});
