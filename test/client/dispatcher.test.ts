import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { PassThrough, Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { describe, it, type TestContext } from "node:test";
import { type Dispatcher, FormData, interceptors, request, fetch as undiciFetch, WebSocket } from "undici";
import type { FallbackRoundTripper } from "../../src/client/fallback-round-tripper.js";
import { openDispatcher, pathTo, signalled, type Told } from "../support/dispatcher.js";
import { eventually, turns } from "../support/fake-clock.js";
import { startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { answering, ok, type RawOrigin, startRawOrigin } from "../support/raw-origin.js";
import type { RawPeer } from "../support/raw-peer.js";

const ORIGIN = "http://functions.example";

/** A handler of undici's present interface that notes what it is told; `done` resolves at the end, to the error if there is one. */
function recorder(react: Partial<Dispatcher.DispatchHandler> = {}) {
  const told: unknown[] = [];
  let finish = (_: Error | undefined) => {};
  const done = new Promise<Error | undefined>((resolve) => {
    finish = resolve;
  });
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(...given) {
      told.push("start");
      react.onRequestStart?.(...given);
    },
    onResponseStart(...given) {
      told.push(given[1]);
      react.onResponseStart?.(...given);
    },
    onResponseData(...given) {
      told.push(given[1].toString());
      react.onResponseData?.(...given);
    },
    onResponseEnd() {
      told.push("end");
      finish(undefined);
    },
    onResponseError(_, error) {
      told.push("error");
      finish(error);
    },
  };
  return { told, done, handler };
}

describe("what undici promises of a dispatcher", () => {
  it("tells handlers of its present and of its former interface the same", async (t) => {
    const node = await startRawOrigin(t, answering(ok("yes", "X-A: 1\r\n")));
    const { dispatcher } = openDispatcher(t, [node]);
    const { told, done, handler } = recorder();
    assert.equal(dispatcher.dispatch({ origin: ORIGIN, path: "/", method: "GET" }, handler), true);
    assert.equal(await done, undefined);
    assert.deepEqual(told, ["start", 200, "yes", "end"]);

    const former: unknown[] = [];
    await new Promise<void>((resolve, reject) =>
      dispatcher.dispatch(
        { origin: ORIGIN, path: "/", method: "GET" },
        {
          onConnect: (abort) => void former.push(typeof abort),
          onHeaders(status, headers, resume) {
            const names = headers.map(String);
            former.push(status, names[names.indexOf("x-a") + 1], typeof resume);
            return true;
          },
          onData(chunk) {
            former.push(chunk.toString());
            return true;
          },
          onComplete: () => resolve(),
          onError: reject,
        },
      ),
    );
    assert.deepEqual(former, ["function", 200, "1", "function", "yes"]);
  });

  it("refuses a handler that could not be told of an error", (t) => {
    const { dispatcher } = openDispatcher(t, [{ port: 1 }]);
    const options = { origin: ORIGIN, path: "/", method: "GET" };
    for (const handler of [undefined, null, {}, { onRequestStart() {} }]) {
      assert.throws(() => dispatcher.dispatch(options, handler as Dispatcher.DispatchHandler), {
        code: "UND_ERR_INVALID_ARG",
      });
    }
  });

  it("hands interim responses on, and the final one behind them", async (t) => {
    const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    const node = await startRawOrigin(t, answering(`${hints}${hints}${ok("yes")}`));
    const { dispatcher } = openDispatcher(t, [node]);
    const infos: number[] = [];
    const onInfo = ({ statusCode }: { readonly statusCode: number }) => infos.push(statusCode);
    const { statusCode, body } = await request(`${ORIGIN}/`, { dispatcher, onInfo });
    assert.deepEqual([statusCode, await body.text(), infos], [200, "yes", [103, 103]]);
    const response = await undiciFetch(`${ORIGIN}/`, { dispatcher });
    assert.equal(await response.text(), "yes");
  });

  it("takes every kind of body, by request and by fetch", async (t) => {
    const nodes = await startFunctionNodes(t, 2);
    const { dispatcher } = openDispatcher(t, nodes);
    const form = () => {
      const data = new FormData();
      data.set("name", "value");
      return data;
    };
    async function* parts() {
      yield Buffer.from("ab");
      yield Buffer.from("cde");
    }
    const bodies: readonly [string, () => unknown][] = [
      ["a string", () => "abcde"],
      ["a buffer", () => Buffer.from("abcde")],
      ["an array of bytes", () => new TextEncoder().encode("abcde")],
      ["a stream", () => Readable.from([Buffer.from("ab"), Buffer.from("cde")])],
      ["an iterator", parts],
      ["a blob", () => new Blob(["abcde"])],
    ];
    for (const [name, body] of bodies) {
      const { body: answer } = await request(`${ORIGIN}/f`, {
        dispatcher,
        method: "POST",
        body: body() as Dispatcher.DispatchOptions["body"] & object,
      });
      assert.equal(((await answer.json()) as Told).bodyBytes, 5, name);
    }
    const { body: answer } = await request(`${ORIGIN}/f`, { dispatcher, method: "POST", body: form() });
    assert.ok(((await answer.json()) as Told).bodyBytes > 50);

    const init = { dispatcher, method: "POST", duplex: "half" } as const;
    for (const body of ["abcde", Buffer.from("abcde"), new Blob(["abcde"]), ReadableStream.from(parts())]) {
      const response = await undiciFetch(`${ORIGIN}/f`, { ...init, body });
      assert.equal(((await response.json()) as Told).bodyBytes, 5);
    }
    const response = await undiciFetch(`${ORIGIN}/f`, { ...init, body: form() });
    assert.ok(((await response.json()) as Told).bodyBytes > 50);
    const sent = nodes.flatMap(({ calls }) => calls).at(-1)?.rawHeaders ?? [];
    assert.match(
      sent[sent.findIndex((name) => name.toLowerCase() === "content-type") + 1],
      /^multipart\/form-data; bou/,
    );
  });

  it("lets a caller pause a response: nothing comes until it resumes", async (t) => {
    const BYTES = 4 * 1024 * 1024;
    const node = await startFunctionNode(t, { name: "a", answer: (_, response) => response.end(Buffer.alloc(BYTES)) });
    const { dispatcher } = openDispatcher(t, [node]);
    const first = signalled();
    let bytes = 0;
    let control: Dispatcher.DispatchController | undefined;
    const { done, handler } = recorder({
      onResponseData(controller, chunk) {
        bytes += chunk.length;
        controller.pause();
        control = controller;
        first.happen();
      },
    });
    dispatcher.dispatch({ origin: ORIGIN, path: "/", method: "GET" }, handler);
    await first.promise;
    const before = bytes;
    assert.equal(control?.paused, true);
    await turns(20);
    assert.equal(bytes, before);
    const resume = setInterval(() => control?.resume());
    assert.equal(await done, undefined);
    clearInterval(resume);
    assert.equal(bytes, BYTES);
  });

  it("streams and pipelines", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const { dispatcher } = openDispatcher(t, [node]);
    const chunks: Buffer[] = [];
    const sink = () =>
      new Writable({
        write(chunk: Buffer, _, done) {
          chunks.push(chunk);
          done();
        },
      });
    await dispatcher.stream({ origin: ORIGIN, path: "/s", method: "PUT", body: "abc" }, sink);
    assert.deepEqual((JSON.parse(Buffer.concat(chunks.splice(0)).toString()) as Told).bodyBytes, 3);
    await pipeline(
      Readable.from([Buffer.from("ab"), Buffer.from("cde")]),
      dispatcher.pipeline({ origin: ORIGIN, path: "/p", method: "PUT" }, ({ body }) => body.pipe(new PassThrough())),
      sink(),
    );
    assert.deepEqual((JSON.parse(Buffer.concat(chunks).toString()) as Told).bodyBytes, 5);
  });

  it("upgrades, and counts the tunnel at its node until the socket closes", async (t) => {
    const origin = await startRawOrigin(t, (peer) => {
      peer.socket.once("data", () =>
        peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello"),
      );
    });
    const { dispatcher } = openDispatcher(t, [origin]);
    const { socket, headers } = await dispatcher.upgrade({ path: "/up", protocol: "echo" });
    assert.equal(headers.upgrade, "echo");
    const [chunk] = (await new Promise((resolve) => socket.once("data", (...given) => resolve(given)))) as [Buffer];
    assert.equal(chunk.toString(), "hello");
    assert.equal(dispatcher.nodes[0].inFlight, 1);
    // The tunnel is the caller's: nobody waits for it, and nobody ends it.
    await dispatcher.close();
    assert.deepEqual([dispatcher.nodes[0].inFlight, socket.destroyed], [1, false]);
    socket.destroy();
    await eventually(() => dispatcher.nodes[0].inFlight === 0);
  });

  it("connects, with what is asked for as it was given", async (t) => {
    const server = createServer();
    server.on("connect", (asked, socket: Socket) => {
      socket.write(`HTTP/1.1 200 OK\r\n\r\n${asked.url}`);
      socket.on("data", () => socket.end());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const { dispatcher } = openDispatcher(t, [{ port }], { nodes: `http://127.0.0.1:${port}/base` });
    const { statusCode, socket } = await dispatcher.connect({ origin: ORIGIN, path: "db.example:5432" });
    const [chunk] = (await new Promise((resolve) => socket.once("data", (...given) => resolve(given)))) as [Buffer];
    assert.deepEqual([statusCode, chunk.toString()], [200, "db.example:5432"]);
    socket.end("bye");
    socket.resume();
    await eventually(() => dispatcher.nodes[0].inFlight === 0);
  });

  it("carries a WebSocket", async (t) => {
    const { createHash } = await import("node:crypto");
    const origin = await startRawOrigin(t, (peer) => {
      peer.socket.once("data", () => {
        const key = /sec-websocket-key: (.*)\r\n/i.exec(peer.text)?.[1];
        const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
        peer.send(
          `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n\x81\x05hello`,
        );
      });
    });
    const { dispatcher } = openDispatcher(t, [{ port: 1 }, origin]);
    const socket = new WebSocket("ws://functions.example/chat", { dispatcher });
    const message = await new Promise((resolve, reject) => {
      socket.addEventListener("message", ({ data }) => resolve(data));
      socket.addEventListener("error", ({ error }) => reject(error));
    });
    assert.equal(message, "hello");
    const closed = new Promise((resolve) => socket.addEventListener("close", resolve));
    origin.connections.at(-1)?.destroy();
    await closed;
  });

  it("is built upon: interceptors redirect and retry, and what they return can be closed", async (t) => {
    let failures = 2;
    const node = await startFunctionNode(t, {
      name: "a",
      answer(asked, response) {
        if (asked.url === "/old") response.writeHead(302, { location: "/new" }).end();
        else if (failures-- > 0) response.writeHead(503).end();
        else response.end("new");
      },
    });
    const { dispatcher } = openDispatcher(t, [node]);
    const composed = dispatcher.compose(
      interceptors.retry({ minTimeout: 1, maxTimeout: 1, maxRetries: 3 }),
      interceptors.redirect({ maxRedirections: 1 }),
    );
    const { statusCode, body } = await composed.request({ origin: ORIGIN, path: "/old", method: "GET" });
    assert.deepEqual([statusCode, await body.text()], [200, "new"]);
    assert.equal((composed as FallbackRoundTripper).nodes, dispatcher.nodes);
    await composed.close();
    await assert.rejects(composed.request({ origin: ORIGIN, path: "/", method: "GET" }), { code: "UND_ERR_CLOSED" });
    await composed.destroy();
  });

  it("tells of connections that come, go and fail", async (t) => {
    const node = await startRawOrigin(t, answering(ok("yes", "Connection: close\r\n")));
    const { dispatcher } = openDispatcher(t, [{ port: 1 }, node]);
    const seen: unknown[] = [];
    dispatcher.on("connect", (origin, [first]) =>
      seen.push("connect", origin.port === `${node.port}`, first === dispatcher),
    );
    dispatcher.on("connectionError", (origin) => seen.push("failed", origin.port));
    const gone = new Promise((resolve) => dispatcher.on("disconnect", resolve));
    const { body } = await request(`${ORIGIN}${pathTo([{ port: 1 }, node], { port: 1 })}`, { dispatcher });
    await body.dump();
    await gone;
    assert.deepEqual(seen, ["failed", "1", "connect", true, true]);
  });

  it("brings errors of the request itself to its caller, and blames no node", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const opened = openDispatcher(t, [node]);
    const { dispatcher } = opened;
    const bad: readonly Partial<Dispatcher.DispatchOptions>[] = [
      { headers: { "bad name": "x" } },
      { path: "no-slash" },
      { origin: "::" },
      { method: "no method" },
      { headers: { "transfer-encoding": "chunked" } },
    ];
    for (const part of bad) {
      const { done, handler } = recorder();
      dispatcher.dispatch({ origin: ORIGIN, path: "/", method: "GET", ...part }, handler);
      assert.ok((await done) instanceof Error, JSON.stringify(part));
      await assert.rejects(dispatcher.request({ origin: ORIGIN, path: "/", method: "GET", ...part }));
    }
    const { dispatcher: keyless } = openDispatcher(t, [node], {
      key() {
        throw new RangeError("no key");
      },
    });
    await assert.rejects(request(`${ORIGIN}/`, { dispatcher: keyless }), RangeError);
    assert.deepEqual([opened.events, dispatcher.nodes[0].alive, dispatcher.nodes[0].inFlight], [[], true, 0]);
  });

  it("does not repeat what its own handler has broken", async (t) => {
    const nodes = await startFunctionNodes(t, 2);
    const { dispatcher } = openDispatcher(t, nodes);
    for (const method of ["onRequestStart", "onResponseStart", "onResponseData"] as const) {
      const { done, handler } = recorder({
        [method]: () => {
          throw new RangeError(method);
        },
      });
      dispatcher.dispatch({ origin: ORIGIN, path: "/f", method: "GET" }, handler);
      assert.ok((await done) instanceof RangeError, method);
    }
    assert.equal(nodes[0].headsSeen + nodes[1].headsSeen, 2, "and what fails at its start is not sent");
  });

  describe("its request target", () => {
    const target = async (t: TestContext, options: Partial<Dispatcher.DispatchOptions>) => {
      const node = await startRawOrigin(t, answering(ok("yes")));
      const { dispatcher } = openDispatcher(t, [node], { nodes: `http://127.0.0.1:${node.port}/base` });
      const { body } = await dispatcher.request({ path: "/", method: "GET", ...options });
      await body.dump();
      const [line, host] = node.connections[0].text.split("\r\n");
      return [line, host.replace(`${node.port}`, "<port>")];
    };

    it("takes its Host from the origin, from a Host of its own, or else from the node", async (t) => {
      assert.deepEqual(await target(t, { origin: "http://a.example:81" }), [
        "GET /base/ HTTP/1.1",
        "host: a.example:81",
      ]);
      assert.deepEqual(await target(t, { origin: ORIGIN, headers: { HOST: "b" } }), ["GET /base/ HTTP/1.1", "host: b"]);
      assert.deepEqual(await target(t, {}), ["GET /base/ HTTP/1.1", "host: 127.0.0.1:<port>"]);
    });

    it("keeps the query, and one that is given apart", async (t) => {
      assert.equal((await target(t, { path: "/f?a=%2F;b" }))[0], "GET /base/f?a=%2F;b HTTP/1.1");
      assert.equal((await target(t, { path: "/f", query: { a: "1 2" } }))[0], "GET /base/f?a=1%202 HTTP/1.1");
    });

    it("is the path of a whole URL", async (t) => {
      const whole = { origin: ORIGIN, path: "http://a.example/f?x" };
      assert.deepEqual(await target(t, whole), ["GET /base/f?x HTTP/1.1", "host: a.example"]);
    });

    it("takes any shape of headers, an iterator that can be read only once too", async (t) => {
      const dead = { port: 1 };
      const node = await startRawOrigin(t, answering(ok("yes")));
      const { dispatcher } = openDispatcher(t, [dead, node]);
      function* once(): Iterable<[string, string | string[]]> {
        yield ["x-a", "1"];
        yield ["x-b", ["2", "3"]];
      }
      const path = pathTo([dead, node], dead);
      const { body } = await request(`${ORIGIN}${path}`, { dispatcher, headers: once() });
      await body.dump();
      assert.match(node.connections[0].text, /\r\nx-a: 1\r\nx-b: 2\r\nx-b: 3\r\n/);
    });
  });
});

/** The connection on which that came: undici dials one too many where one has just been given up. */
async function whoGot({ connections }: RawOrigin, text: string): Promise<RawPeer> {
  await eventually(() => connections.some((peer) => peer.text.includes(text)));
  return connections.find((peer) => peer.text.includes(text))!;
}

describe("giving a request up", () => {
  it("ends it at once while its node is dialled, and nothing is sent", async (t) => {
    const node = await startRawOrigin(t);
    const { dispatcher } = openDispatcher(t, [node]);
    const abort = new AbortController();
    const asked = request(`${ORIGIN}/f`, { dispatcher, signal: abort.signal });
    abort.abort(new RangeError("enough"));
    await assert.rejects(asked, RangeError);
    assert.equal(node.connections.length, 0, "before the connection stands");
    await dispatcher.close();
    assert.equal(node.connections.map(({ text }) => text).join(""), "");
  });

  it("does not even dial when the signal has been given before", async (t) => {
    const node = await startRawOrigin(t);
    const { dispatcher } = openDispatcher(t, [node]);
    await assert.rejects(request(`${ORIGIN}/f`, { dispatcher, signal: AbortSignal.abort() }), { name: "AbortError" });
    await assert.rejects(undiciFetch(`${ORIGIN}/f`, { dispatcher, signal: AbortSignal.abort() }), {
      name: "AbortError",
    });
    await dispatcher.close();
    assert.equal(node.connections.length, 0);
  });

  it("frees the node while it is waited for, in mid-upload and in mid-response", async (t) => {
    const node = await startRawOrigin(t);
    const opened = openDispatcher(t, [node]);
    const { dispatcher } = opened;
    const waiting = new AbortController();
    const asked = request(`${ORIGIN}/wait`, { dispatcher, signal: waiting.signal });
    const first = await node.accept();
    await first.log.untilText("\r\n\r\n");
    waiting.abort();
    await assert.rejects(asked, { name: "AbortError" });
    await first.log.untilEnd();

    const uploading = new AbortController();
    const body = new PassThrough();
    body.write("part");
    const sent = request(`${ORIGIN}/up`, { dispatcher, method: "POST", body, signal: uploading.signal });
    const second = await whoGot(node, "part");
    uploading.abort();
    await assert.rejects(sent, { name: "AbortError" });
    assert.equal(body.destroyed, true);
    await second.log.untilEnd();

    const reading = new AbortController();
    const read = request(`${ORIGIN}/read`, { dispatcher, signal: reading.signal });
    const third = await whoGot(node, "/read");
    third.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    const { body: response } = await read;
    reading.abort();
    await assert.rejects(response.text(), { name: "AbortError" });
    await third.log.untilEnd();
    assert.deepEqual([opened.events, dispatcher.nodes[0].inFlight], [[], 0]);
  });
});

describe("closing a dispatcher", () => {
  it("lets what runs finish, on another node if its own refuses, and takes nothing new", async (t) => {
    const nodes = await startFunctionNodes(t, 2);
    const path = pathTo(nodes, nodes[0]);
    await nodes[0].stop();
    const { dispatcher } = openDispatcher(t, nodes);
    const asked = request(`${ORIGIN}${path}`, { dispatcher, method: "POST", body: "abc" });
    assert.equal(dispatcher.closed, false);
    const closed = dispatcher.close();
    assert.deepEqual([dispatcher.closed, dispatcher.destroyed], [true, false]);
    await assert.rejects(request(`${ORIGIN}/late`, { dispatcher }), { code: "UND_ERR_CLOSED" });
    const { statusCode, body } = await asked;
    assert.deepEqual([statusCode, ((await body.json()) as Told).bodyBytes], [200, 3]);
    await closed;
    await eventually(() => nodes[1].connections === 0);
    await dispatcher.close();
    await new Promise<void>((resolve) => dispatcher.close(resolve));
  });

  it("fails what runs with the error of destroy, and calls no node dead for it", async (t) => {
    const nodes = await Promise.all([startRawOrigin(t), startRawOrigin(t)]);
    for (const error of [new RangeError("enough"), undefined]) {
      const opened = openDispatcher(t, nodes);
      const { dispatcher } = opened;
      const path = pathTo(nodes, nodes[0]);
      const waiting = request(`${ORIGIN}${path}`, { dispatcher });
      const peer = await nodes[0].accept();
      await peer.log.untilText("\r\n\r\n");
      const dialled = request(`${ORIGIN}${pathTo(nodes, nodes[1])}`, { dispatcher });
      const outcomes = Promise.allSettled([waiting, dialled]);
      const destroyed = dispatcher.destroy(error ?? null);
      assert.deepEqual([dispatcher.closed, dispatcher.destroyed], [true, true]);
      const expected = error?.name ?? "ClientDestroyedError";
      for (const outcome of await outcomes) {
        assert.equal(outcome.status === "rejected" && (outcome.reason as Error).name, expected);
      }
      await destroyed;
      await peer.log.untilEnd();
      assert.equal(nodes[1].connections.map(({ text }) => text).join(""), "", "nobody else is asked instead");
      assert.deepEqual(opened.events, []);
      await assert.rejects(request(`${ORIGIN}/`, { dispatcher }), { code: "UND_ERR_DESTROYED" });
      await dispatcher.destroy();
      await dispatcher.close();
      await new Promise<void>((resolve) => dispatcher.destroy(resolve));
      await new Promise<void>((resolve) => dispatcher.destroy(null, resolve));
    }
  });

  it("ends a close that waits when it is destroyed", async (t) => {
    const node = await startRawOrigin(t);
    const { dispatcher } = openDispatcher(t, [node]);
    const asked = request(`${ORIGIN}/f`, { dispatcher });
    await (await node.accept()).log.untilText("\r\n\r\n");
    const closed = dispatcher.close();
    const failed = assert.rejects(asked, { code: "UND_ERR_DESTROYED" });
    await Promise.all([dispatcher.destroy(), closed, failed]);
  });

  it("stops to ping", async (t) => {
    const { dispatcher } = openDispatcher(t, [{ port: 1 }], { pingIntervalMs: 1 });
    await assert.rejects(request(`${ORIGIN}/f`, { dispatcher }), { code: "ERR_NO_FALLBACK_NODE_FOUND" });
    await dispatcher.close();
    assert.equal(dispatcher.nodes[0].alive, false);
  });
});
