import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { forwardRequests, type RequestsRead, type ResponseRelayed, relayResponse } from "../support/codec.js";
import { REQUESTS, RESPONSES } from "../support/corpus.js";

/** Every way to cut the bytes into two pieces, and into pieces of one byte. */
function* splits(bytes: Buffer): Generator<readonly [name: string, pieces: readonly Buffer[]]> {
  for (let at = 1; at < bytes.length; at++) yield [`at ${at}`, [bytes.subarray(0, at), bytes.subarray(at)]];
  yield ["byte by byte", [...bytes].map((byte) => Buffer.of(byte))];
}

describe("requests, read by the pure parser", () => {
  const comparable = ({ requests, refusal, isOpen }: RequestsRead) => ({
    refusal,
    isOpen,
    requests: requests.map(({ bytes, ...rest }) => ({ ...rest, bytes: bytes.toString("latin1") })),
  });
  for (const [name, text] of REQUESTS) {
    it(`come out the same wherever they are split: ${name}`, () => {
      const bytes = Buffer.from(text, "latin1");
      const whole = comparable(forwardRequests([bytes]));
      assert.equal(whole.isOpen, false, "the corpus holds complete messages");
      for (const [how, pieces] of splits(bytes)) assert.deepEqual(comparable(forwardRequests(pieces)), whole, how);
    });
  }
});

describe("responses, read by the pure parser", () => {
  const comparable = ({ bytes, head, untilClose, ...rest }: ResponseRelayed) => ({
    ...rest,
    head: head.toString("latin1"),
    bytes: bytes.toString("latin1"),
    untilClose: untilClose.toString("latin1"),
  });
  for (const [name, text, method] of RESPONSES) {
    it(`come out the same wherever they are split: ${name}`, () => {
      const bytes = Buffer.from(text, "latin1");
      const whole = comparable(relayResponse([bytes], method === "HEAD"));
      for (const [how, pieces] of splits(bytes)) {
        assert.deepEqual(comparable(relayResponse(pieces, method === "HEAD")), whole, how);
      }
    });
  }
});
