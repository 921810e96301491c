import assert from "node:assert/strict";
import { METHODS } from "node:http";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type ForwardedRequest, forwardRequests, relayResponse } from "../support/codec.js";
import { REQUESTS, RESPONSES } from "../support/corpus.js";
import { type MessageSeen, readRequests, readResponseBytes } from "../support/llhttp.js";
import { built, builtResponse, fieldsOf } from "../support/messages.js";

const SEED = 20_240_229;
const RUNS = 4000;

/** Bytes that mean something to a parser, and some that should not be there at all. */
const MARKS = "\r\n :;,=\t\0\x01\x0b\x7f\x80\xff\"'()[]{}<>@/?#%*+-_.0159aAxXzZ";
const mark = fc.constantFrom(...MARKS);
const word = fc.constantFrom(
  "\r\n",
  "\r\n\r\n",
  "\n",
  "0\r\n\r\n",
  "5\r\nhello\r\n",
  "chunked",
  "gzip, chunked",
  "Content-Length: 5\r\n",
  "Content-Length: 0\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Connection: ",
  "Connection: close, x\r\n",
  "Host: fn\r\n",
  "Upgrade: websocket\r\n",
  "Expect: 100-continue\r\n",
  "X-Forwarded-For: a\r\n",
  "Trailer: X\r\n",
  "TE: trailers\r\n",
  "HTTP/1.1",
  "HTTP/1.0",
  "http://fn/",
  "GET / HTTP/1.1\r\nHost: fn\r\n\r\n",
  "HTTP/1.1 200 OK\r\n",
  "HTTP/1.1 100 Continue\r\n\r\n",
  " ",
  ";a=b",
);
const piece = fc.oneof(mark, word, fc.string({ minLength: 1, maxLength: 8 }));

/** What is done to a message of the corpus, at places given as shares of its length. */
type Edit =
  | { readonly kind: "insert"; readonly at: number; readonly text: string }
  | { readonly kind: "replace"; readonly at: number; readonly text: string }
  | { readonly kind: "remove"; readonly at: number; readonly length: number }
  | { readonly kind: "repeat"; readonly at: number; readonly length: number }
  | { readonly kind: "swapLines"; readonly at: number; readonly other: number };

const place = fc.double({ min: 0, max: 1, noNaN: true });
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ kind: fc.constant("insert" as const), at: place, text: piece }),
  fc.record({ kind: fc.constant("replace" as const), at: place, text: piece }),
  fc.record({ kind: fc.constant("remove" as const), at: place, length: fc.integer({ min: 1, max: 6 }) }),
  fc.record({ kind: fc.constant("repeat" as const), at: place, length: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ kind: fc.constant("swapLines" as const), at: place, other: place }),
);

function applied(text: string, change: Edit): string {
  const at = Math.floor(change.at * text.length);
  switch (change.kind) {
    case "insert":
      return text.slice(0, at) + change.text + text.slice(at);
    case "replace":
      return text.slice(0, at) + change.text + text.slice(at + change.text.length);
    case "remove":
      return text.slice(0, at) + text.slice(at + change.length);
    case "repeat":
      return text.slice(0, at + change.length) + text.slice(at);
    case "swapLines": {
      const lines = text.split("\r\n");
      const [first, second] = [change.at, change.other].map((share) => Math.floor(share * (lines.length - 1)));
      [lines[first], lines[second]] = [lines[second], lines[first]];
      return lines.join("\r\n");
    }
    default:
      change satisfies never;
      return text;
  }
}

const mutated = (corpus: readonly string[]) =>
  fc
    .record({ text: fc.constantFrom(...corpus), edits: fc.array(edit, { maxLength: 4 }) })
    .map(({ text, edits }) => edits.reduce(applied, text));

const SENTINEL = Buffer.from("GET /sentinel HTTP/1.1\r\nHost: s\r\n\r\n");

/** The forwarded bytes, with a method that llhttp knows in place of one that it does not. */
function withKnownMethod({ method: verb, bytes }: ForwardedRequest): { readonly verb: string; readonly bytes: Buffer } {
  if (METHODS.includes(verb) && verb !== "SOURCE") return { verb, bytes };
  // An empty line in front is skipped by both.
  const start = bytes[0] === 0x0d ? 2 : 0;
  return { verb: "POST", bytes: Buffer.concat([Buffer.from("POST"), bytes.subarray(start + verb.length)]) };
}

/** Requires that the runtime's parser reads what is forwarded as one request, the same that was read here. */
async function assertReadTheSame(forwarded: ForwardedRequest): Promise<void> {
  const { verb, bytes } = withKnownMethod(forwarded);
  const shown = JSON.stringify(bytes.toString("latin1"));
  const head = forwarded.bytes.toString("latin1", 0, forwarded.headBytes);
  // Behind an upgrade llhttp reads no further message; everything else is followed by another one.
  const isUpgrade = /\r\nUpgrade: /.test(head);
  const count = isUpgrade ? 1 : 2;
  const { requests, error } = await readRequests(isUpgrade ? bytes : Buffer.concat([bytes, SENTINEL]), count);
  assert.equal(error, undefined, `llhttp refuses ${shown}`);
  assert.equal(requests.length, count, `not one request: ${shown}`);
  const [seen, sentinel] = requests as [MessageSeen, MessageSeen | undefined];
  assert.deepEqual([seen.method, seen.target], [verb, forwarded.target], shown);
  assert.equal(sentinel?.target ?? "/sentinel", "/sentinel", `the next message begins elsewhere: ${shown}`);
  assert.deepEqual(seen.fields, fieldsOf(head), shown);
  assert.equal(seen.body.length, forwarded.bodyBytes, shown);
  for (const [key] of seen.trailers) assert.ok(!/^(host|content-length|transfer-encoding)$/i.test(key), shown);
  const lower = seen.fields.map(([key]) => key.toLowerCase());
  assert.equal(lower.filter((key) => key === "host").length, 1, shown);
  assert.ok(lower.filter((key) => key === "content-length" || key === "transfer-encoding").length <= 1, shown);
}

describe("random requests", () => {
  for (const [kind, messages] of [
    ["mutated", mutated(REQUESTS.map(([, bytes]) => bytes))],
    ["put together", built],
    ["of random bytes", fc.array(piece, { maxLength: 30 }).map((pieces) => `GET ${pieces.join("")}`)],
  ] as const) {
    it(`${kind}: are refused, or read by llhttp as they were read here`, async () => {
      let accepted = 0;
      await fc.assert(
        fc.asyncProperty(messages, async (text) => {
          const { requests } = forwardRequests([Buffer.from(text, "latin1")]);
          for (const forwarded of requests) {
            if (forwarded.target === "*") continue;
            accepted++;
            await assertReadTheSame(forwarded);
          }
        }),
        { seed: SEED, numRuns: RUNS },
      );
      if (kind !== "of random bytes") assert.ok(accepted > RUNS / 8, `only ${accepted} were accepted`);
    });

    it(`${kind}: come out the same in two pieces`, () => {
      fc.assert(
        fc.property(messages, place, (text, share) => {
          const bytes = Buffer.from(text, "latin1");
          const at = Math.floor(share * bytes.length);
          const whole = forwardRequests([bytes]);
          const split = forwardRequests([bytes.subarray(0, at), bytes.subarray(at)]);
          assert.deepEqual(split, whole);
        }),
        { seed: SEED, numRuns: RUNS },
      );
    });
  }
});

describe("random responses", () => {
  for (const [kind, messages] of [
    ["mutated", mutated(RESPONSES.map(([, bytes]) => bytes))],
    ["put together", builtResponse],
  ] as const) {
    it(`${kind}: are refused, or read by llhttp as they were read here`, async () => {
      let accepted = 0;
      await fc.assert(
        fc.asyncProperty(messages, fc.constantFrom("GET", "GET", "HEAD"), async (text, verb) => {
          const relayed = relayResponse([Buffer.from(text, "latin1")], verb === "HEAD");
          if (relayed.kind !== "complete") return;
          accepted++;
          const { untilClose } = relayed;
          const chunks =
            untilClose.length === 0
              ? "0\r\n\r\n"
              : `${untilClose.length.toString(16)}\r\n${untilClose.toString("latin1")}\r\n0\r\n\r\n`;
          const bytes = relayed.isUntilClose
            ? Buffer.concat([relayed.bytes, Buffer.from(chunks, "latin1")])
            : relayed.bytes;
          const shown = JSON.stringify(bytes.toString("latin1"));
          const { response, error } = await readResponseBytes(bytes, verb, false);
          assert.equal(error, undefined, `llhttp refuses ${shown}`);
          assert.ok(response, `llhttp waits for more: ${shown}`);
          const head = relayed.head.toString("latin1");
          assert.equal(response.status, Number(head.slice(9, 12)), shown);
          assert.deepEqual(response.fields, fieldsOf(head), shown);
          assert.equal(response.body.length, relayed.bodyBytes, shown);
          const early = await readResponseBytes(bytes.subarray(0, -1), verb, false);
          assert.equal(early.response, undefined, `llhttp is content with less: ${shown}`);
        }),
        { seed: SEED, numRuns: RUNS / 2 },
      );
      assert.ok(accepted > RUNS / 16, `only ${accepted} were accepted`);
    });

    it(`${kind}: come out the same in two pieces`, () => {
      fc.assert(
        fc.property(messages, place, fc.boolean(), (text, share, isHead) => {
          const bytes = Buffer.from(text, "latin1");
          const at = Math.floor(share * bytes.length);
          const whole = relayResponse([bytes], isHead);
          const split = relayResponse([bytes.subarray(0, at), bytes.subarray(at)], isHead);
          assert.deepEqual(split, whole);
        }),
        { seed: SEED, numRuns: RUNS },
      );
    });
  }
});
