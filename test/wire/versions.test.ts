import { describe, it } from "node:test";
import { assertForwarded, assertRefused, startWire } from "../support/wire.js";

describe("an HTTP version", () => {
  for (const minor of [2, 3, 9]) {
    it(`of 1.${minor} is treated as 1.1, and the node is told 1.1`, async (t) => {
      const wire = await startWire(t);
      await assertForwarded(
        wire,
        `POST /a?b HTTP/1.${minor}\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
        `POST /a?b HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n${wire.added()}2\r\nok\r\n0\r\n\r\n`,
        "POST",
      );
    });
  }

  for (const version of ["0.9", "2.0", "3.0", "9.9"]) {
    it(`of ${version} is not spoken here`, async (t) => {
      await assertRefused(await startWire(t), `GET / HTTP/${version}\r\nHost: fn\r\n\r\n`, 505, "ERR_VERSION");
    });
  }

  it("of 2 is not spoken here: its preface is answered in 1.1", async (t) => {
    await assertRefused(await startWire(t), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", 505, "ERR_VERSION");
  });

  it("is required: a request of HTTP/0.9 is malformed", async (t) => {
    await assertRefused(await startWire(t), "GET /\r\n", 400, "ERR_BAD_REQUEST");
  });

  it("is no other protocol's: a TLS hello is malformed", async (t) => {
    await assertRefused(await startWire(t), "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 400, "ERR_BAD_REQUEST");
  });
});
