import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it } from "node:test";
import type { ByteStream } from "../../src/core/stream.js";
import { openSockets } from "../../src/system/sockets.js";
import { ByteLog } from "../support/byte-log.js";

const LOCAL = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;

for (const preference of ["fast", "plain"]) {
  describe(`a reset, on ${preference} sockets`, () => {
    /** What becomes of an accepted connection that is treated so; `true`: its client was reset. */
    async function treat(treatment: (stream: ByteStream) => void): Promise<boolean> {
      const sockets = await openSockets({ preference, onFallback: assert.fail });
      const log = new ByteLog();
      let isClosed = false;
      const listener = await sockets.listen(LOCAL, (stream) => {
        stream.handler = {
          onData: () => assert.fail("nothing is to be heard any more"),
          onDrain() {},
          onEnd() {},
          onClose() {
            isClosed = true;
            log.wake();
          },
        };
        treatment(stream);
      });
      const client = connect({ host: "127.0.0.1", port: Number(/\d+$/.exec(listener.address)), allowHalfOpen: true });
      let code: string | undefined;
      client.on("error", (error: NodeJS.ErrnoException) => {
        code = error.code;
      });
      // Behind an end, only who writes hears of a reset.
      const poke = () => {
        if (client.destroyed) return;
        client.write("too late");
        setImmediate(poke);
      };
      client.once("connect", poke);
      client.resume();
      try {
        await log.until("the end of the connection", () => isClosed || undefined);
        if (!client.closed) await new Promise((resolve) => client.once("close", resolve));
      } finally {
        client.destroy();
        listener.close();
      }
      return code === "ECONNRESET" || code === "EPIPE";
    }

    it("closes a connection", async () => {
      assert.equal(await treat((stream) => stream.reset()), true);
    });

    it("closes one whose end was sent in the same turn", async () => {
      const isReset = await treat((stream) => {
        stream.resume();
        stream.end();
        stream.reset();
        stream.reset();
        stream.destroy();
      });
      assert.equal(isReset, true);
    });

    it("cuts off what waits to be sent before an end", async () => {
      const bytes = Buffer.alloc(64 * 1024 * 1024);
      const isReset = await treat((stream) => {
        assert.equal(stream.write(bytes, 0, bytes.length), false, "the kernel takes it all");
        stream.end();
        stream.reset();
      });
      assert.equal(isReset, true);
    });

    it("closes one whose end was sent long ago", async () => {
      const isReset = await treat((stream) => {
        stream.end();
        setImmediate(() => setImmediate(() => setImmediate(() => stream.reset())));
      });
      assert.equal(isReset, true);
    });
  });
}
