import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { ByteStream } from "../../src/core/stream.js";
import { CertificateStore } from "../../src/system/certificate-store.js";
import { openSockets } from "../../src/system/sockets.js";
import type { TlsListening } from "../../src/system/tls-listener.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { eventually, FakeClock } from "../support/fake-clock.js";
import { connectClient } from "../support/raw-peer.js";
import { connectTlsClient } from "../support/tls-peers.js";

const authority = createAuthority();
const ca = authority.cert;
const localhost = authority.issue({ dns: ["localhost"] });

for (const mode of ["fast", "plain"]) {
  async function listen(t: TestContext, options: Partial<TlsListening> = {}) {
    const clock = new FakeClock();
    const certificates = new CertificateStore(
      { clock, onExpired: () => {} },
      {
        certificates: [certificateFiles(t).writePair("a", localhost)],
        clientCaFile: "",
        clientCertificates: "none",
        minVersion: "1.2",
      },
    );
    await certificates.reload();
    const failures: string[] = [];
    const streams: ByteStream[] = [];
    const seen = { failures, streams, refused: 0 };
    const sockets = await openSockets({ preference: mode, onFallback: (reason) => assert.fail(reason) });
    const bound = await sockets.listen(
      { kind: "tcp", host: "127.0.0.1", port: 0 },
      (stream) => {
        streams.push(stream);
      },
      {
        certificates,
        handshakeTimeoutMs: 10_000,
        handshakesMax: 1024,
        clock,
        proxyProtocol: false,
        admit: () => () => {},
        onProxyHeaderRefused: () => assert.fail("no header is awaited"),
        onHandshakeRefused: () => {
          seen.refused++;
        },
        onHandshakeFailed: (code) => failures.push(code),
        ...options,
      },
    );
    t.after(() => {
      bound.close();
      for (const stream of streams) stream.destroy();
    });
    return { ...seen, seen, clock, bound, port: Number(/\d+$/.exec(bound.address)) };
  }

  describe(`handshakes on ${mode} sockets`, () => {
    it("that take longer than ten seconds are cut, however busy the client is", async (t) => {
      const { port, clock, failures, streams } = await listen(t);
      const slow = await connectClient(t, port);
      await eventually(() => clock.pending === 1);
      slow.send(Buffer.from([22, 3, 1]));
      await clock.advance(9999);
      slow.send(Buffer.from([2, 0]));
      assert.deepEqual(failures, []);
      await clock.advance(1);
      assert.deepEqual(failures, ["ETIMEDOUT"]);
      await slow.log.untilEnd();
      assert.deepEqual([clock.pending, streams.length], [0, 0]);
    });

    it("leave no timer behind when they succeed", async (t) => {
      const { port, clock, streams, failures } = await listen(t);
      await connectTlsClient(t, port, { ca });
      await eventually(() => streams.length === 1);
      assert.equal(clock.pending, 0);
      await clock.advance(20_000);
      assert.deepEqual([failures, streams[0].isOpen, streams[0].isEncrypted], [[], true, true]);
    });

    it("above the limit are refused at once, and there is room again when one has ended", async (t) => {
      const { port, clock, seen, failures, streams } = await listen(t, { handshakesMax: 2 });
      const waiting = [await connectClient(t, port), await connectClient(t, port)];
      await eventually(() => clock.pending === 2);
      const refused = await connectClient(t, port);
      await refused.log.untilEnd();
      assert.deepEqual([seen.refused, failures], [1, []]);
      waiting[0].reset();
      await eventually(() => failures.length === 1);
      assert.deepEqual([failures, clock.pending], [["ECONNRESET"], 1]);
      await connectTlsClient(t, port, { ca });
      await eventually(() => streams.length === 1);
      assert.equal(seen.refused, 1);
    });

    it("under way end with the listener, and are not failures", async (t) => {
      const { port, clock, bound, failures } = await listen(t);
      const waiting = await connectClient(t, port);
      await eventually(() => clock.pending === 1);
      bound.close();
      bound.close();
      await waiting.log.untilEnd();
      assert.deepEqual([clock.pending, failures], [0, []]);
    });
  });

  describe(`streams in TLS on ${mode} sockets`, () => {
    async function open(t: TestContext, options: { readonly maxVersion?: "TLSv1.2" } = {}) {
      const { port, streams } = await listen(t);
      const client = await connectTlsClient(t, port, { ca, ...options });
      await eventually(() => streams.length === 1);
      const [stream] = streams;
      const heard: string[] = [];
      stream.handler = {
        onData: (buffer, start, end) => heard.push(buffer.toString("latin1", start, end)),
        onDrain: () => heard.push("(drain)"),
        onEnd: () => heard.push("(end)"),
        onClose: (code) => heard.push(`(close ${code})`),
      };
      return { client, stream, heard };
    }

    it("know their peer", async (t) => {
      const { client, stream } = await open(t);
      assert.deepEqual(
        [stream.remoteAddress, stream.remotePort, stream.localPort],
        ["127.0.0.1", client.carrier.localPort, client.carrier.remotePort],
      );
    });

    it("read nothing before they are resumed, nor while they are paused", async (t) => {
      const { client, stream, heard } = await open(t);
      client.send("one");
      const echo = Buffer.from("pong");
      stream.write(echo, 0, 4);
      await client.log.untilText("pong");
      await eventually(() => heard.length > 0);
      assert.deepEqual(heard, ["(drain)"]);
      stream.resume();
      await eventually(() => heard.includes("one"));
      stream.pause();
      client.send("two");
      client.end();
      stream.write(echo, 0, 4);
      await client.log.untilText("pongpong");
      await eventually(() => heard.length > 2);
      assert.deepEqual(heard, ["(drain)", "one", "(drain)"]);
      stream.resume();
      await eventually(() => heard.includes("(end)"));
      assert.deepEqual(heard.slice(3), ["two", "(end)"]);
    });

    it("say when a write could not leave at once, and when it has", async (t) => {
      const { client, stream, heard } = await open(t);
      client.socket.pause();
      const block = Buffer.alloc(4 * 1024 * 1024, "x");
      assert.equal(stream.write(block, 0, block.length), false);
      assert.equal(stream.writeBoth(Buffer.from("--"), 1, Buffer.from("ab!"), 1, 3), false);
      block.fill("y");
      assert.deepEqual(heard, []);
      client.socket.resume();
      const bytes = await client.log.untilLength(block.length + 3);
      await eventually(() => heard.length > 0);
      assert.deepEqual(heard, ["(drain)"]);
      assert.equal(bytes.subarray(-3).toString(), "-b!");
      assert.ok(bytes.subarray(0, -3).equals(Buffer.alloc(block.length, "x")), "the buffer was the stream's no more");
    });

    it("end behind everything written, and still read", async (t) => {
      const { client, stream, heard } = await open(t);
      stream.write(Buffer.from("bye"), 0, 3);
      stream.end();
      stream.resume();
      await client.log.untilEnd();
      assert.equal(client.text, "bye");
      client.send("and you");
      client.end();
      await eventually(() => heard.includes("(end)"));
      assert.deepEqual(
        heard.filter((what) => what !== "(drain)"),
        ["and you", "(end)"],
      );
      stream.destroy();
      await eventually(() => heard.includes("(close undefined)"));
    });

    it("when destroyed say goodbye, and when reset do not", async (t) => {
      for (const how of ["destroy", "reset"] as const) {
        // With 1.3 session tickets would come in between.
        const { client, stream, heard } = await open(t, { maxVersion: "TLSv1.2" });
        const { bytesRead } = client.carrier;
        stream[how]();
        assert.deepEqual([stream.isOpen, heard], [false, []], "never inside a call");
        stream[how]();
        await client.log.untilEnd();
        if (how === "reset") await client.log.untilClosed();
        assert.equal(client.log.errorCode, how === "reset" ? "ECONNRESET" : undefined);
        assert.equal(client.carrier.bytesRead > bytesRead, how === "destroy", "a close_notify is bytes");
        await eventually(() => heard.length > 0);
        assert.deepEqual(heard, ["(close undefined)"], "once");
        assert.equal(stream.write(Buffer.from("x"), 0, 1), true, "dropped");
      }
    });

    it("hear of a reset, also of one that came with the last bytes", async (t) => {
      for (const isPaused of [false, true]) {
        const { client, stream, heard } = await open(t);
        if (!isPaused) stream.resume();
        await new Promise<void>((resolve) => {
          client.socket.write("half", () => resolve());
        });
        client.reset();
        await client.log.untilClosed();
        stream.resume();
        await eventually(() => heard.at(-1)?.startsWith("(close") === true);
        assert.match(heard.join(""), /^half\(close (?:ECONNRESET|EPIPE)\)$/);
      }
    });
  });
}
