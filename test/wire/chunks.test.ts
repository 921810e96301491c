import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ok } from "../support/raw-origin.js";
import { assertClosedWith, assertForwarded, assertRefused, startWire } from "../support/wire.js";

const HEAD = "POST / HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n";

const BROKEN: readonly (readonly [string, string])[] = [
  ["a plus sign before the size", "+5\r\nhello\r\n0\r\n\r\n"],
  ["a minus sign before the size", "-5\r\nhello\r\n0\r\n\r\n"],
  ["a prefix before the size", "0x5\r\nhello\r\n0\r\n\r\n"],
  ["an underscore in the size", "0_5\r\nhello\r\n0\r\n\r\n"],
  ["a size that is no number", "z\r\nhello\r\n0\r\n\r\n"],
  ["no size", "\r\nhello\r\n0\r\n\r\n"],
  ["no size but an extension", ";a\r\nhello\r\n0\r\n\r\n"],
  ["a blank before the size", " 5\r\nhello\r\n0\r\n\r\n"],
  ["a blank behind the size", "5 \r\nhello\r\n0\r\n\r\n"],
  ["a blank between size and extension", "5 ;a\r\nhello\r\n0\r\n\r\n"],
  ["a size of 2^53", "20000000000000\r\nhello\r\n0\r\n\r\n"],
  ["a size of 2^64", "10000000000000000\r\nhello\r\n0\r\n\r\n"],
  ["a size that overflows 64 bits to 5", "10000000000000005\r\nhello\r\n0\r\n\r\n"],
  ["a size of more than 16 digits", "00000000000000005\r\nhello\r\n0\r\n\r\n"],
  ["a bare LF behind the size", "5\nhello\r\n0\r\n\r\n"],
  ["a bare CR behind the size", "5\rhello\r\n0\r\n\r\n"],
  ["CR CR LF behind the size", "5\r\r\nhello\r\n0\r\n\r\n"],
  ["data longer than its size", "5\r\nhello!\r\n0\r\n\r\n"],
  ["data shorter than its size", "5\r\nhell\r\n0\r\n\r\n"],
  ["no line end behind the data", "5\r\nhello0\r\n\r\n"],
  ["a bare LF behind the data", "5\r\nhello\n0\r\n\r\n"],
  ["a bare CR behind the data", "5\r\nhello\r0\r\n\r\n"],
  ["a bare LF in an extension", "5;a\nhello\r\n0\r\n\r\n"],
  ["a bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"],
  ["NUL in an extension", "5;\0\r\nhello\r\n0\r\n\r\n"],
  ["a bare LF at its end", "0\r\n\n"],
  ["a bare CR at its end", "0\r\n\rX"],
];

describe("a chunked request", () => {
  for (const [name, body] of BROKEN) {
    it(`is refused with ${name}`, async (t) => {
      await assertRefused(await startWire(t), `${HEAD}\r\n${body}`, 400, "ERR_BAD_REQUEST");
    });

    it(`is refused with ${name} when a node has it already, and that connection is never used again`, async (t) => {
      const { client, origin, added, until } = await startWire(t);
      client.send(`${HEAD}\r\n2\r\nok\r\n`);
      const node = await origin.accept();
      await node.log.untilText("ok\r\n");
      client.send(body);
      await assertClosedWith(client, 400, "ERR_BAD_REQUEST");
      await node.log.untilEnd();
      const received = `${HEAD + added()}2\r\nok\r\n`;
      assert.ok(node.text.startsWith(received));
      const rest = node.text.slice(received.length);
      assert.ok(!`\r\n${rest}`.includes("\r\n0\r\n\r\n"), `no end is invented: ${JSON.stringify(rest)}`);
      await until("the connection to be gone", ({ nodes }) => nodes[0].connections === 0);
    });
  }

  it("passes with chunks of any size and leading zeros, its data untouched", async (t) => {
    const wire = await startWire(t);
    const body = `1\r\n\r\r\n2\r\n\r\n\r\n0000000000000003\r\n0\r\n\r\nfF\r\n${"\xff".repeat(255)}\r\n000\r\n\r\n`;
    await assertForwarded(wire, `${HEAD}\r\n${body}`, HEAD + wire.added() + body, "POST");
  });

  it("leaves its chunk extensions behind", async (t) => {
    const wire = await startWire(t);
    await assertForwarded(
      wire,
      `${HEAD}\r\n5;a\r\nhello\r\n1;a=b;c="d;\te"\r\n!\r\n2;\r\nok\r\n0;last=1;\xe4\r\n\r\n`,
      `${HEAD}${wire.added()}5\r\nhello\r\n1\r\n!\r\n2\r\nok\r\n0\r\n\r\n`,
      "POST",
    );
  });

  it("leaves the extensions of many small chunks behind", async (t) => {
    const wire = await startWire(t);
    const body = (extension: string) => `1${extension}\r\nx\r\n`.repeat(1000);
    await assertForwarded(
      wire,
      `${HEAD}\r\n${body(";n=1")}0\r\n\r\n`,
      `${HEAD}${wire.added()}${body("")}0\r\n\r\n`,
      "POST",
    );
  });

  it("may have a chunk extension of 4096 bytes", async (t) => {
    const wire = await startWire(t);
    await assertForwarded(
      wire,
      `${HEAD}\r\n5;${"x".repeat(4096)}\r\nhello\r\n0\r\n\r\n`,
      `${HEAD}${wire.added()}5\r\nhello\r\n0\r\n\r\n`,
      "POST",
    );
  });

  it("is refused with a chunk extension of 4097 bytes", async (t) => {
    const request = `${HEAD}\r\n5;${"x".repeat(4097)}\r\nhello\r\n0\r\n\r\n`;
    await assertRefused(await startWire(t), request, 400, "ERR_BAD_REQUEST");
  });

  it("ends where its last chunk ends: what follows is the next request", async (t) => {
    const wire = await startWire(t);
    const { client, origin, added } = wire;
    client.send(`${HEAD}\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: fn\r\n\r\n`);
    const node = await origin.accept();
    const first = `${HEAD}${added()}0\r\n\r\n`;
    await node.log.untilLength(first.length);
    assert.equal(node.text, first);
    node.send(ok("1"));
    assert.equal((await client.response()).body.toString(), "1");
    await node.log.untilText("/next");
    node.send(ok("2"));
    assert.equal((await client.response()).body.toString(), "2");
  });
});
