import { describe, it } from "node:test";
import { assertForwarded, assertRefused, startWire } from "../support/wire.js";

describe("Content-Length", () => {
  for (const [name, lines] of [
    ["with a plus sign", "Content-Length: +5\r\n"],
    ["with a minus sign", "Content-Length: -1\r\n"],
    ["in hexadecimal", "Content-Length: 0x5\r\n"],
    ["with a blank inside", "Content-Length: 5 5\r\n"],
    ["that is a list of two numbers", "Content-Length: 5, 6\r\n"],
    ["twice with different numbers", "Content-Length: 5\r\nContent-Length: 6\r\n"],
    ["twice with different numbers, the second in other letters", "Content-Length: 5\r\ncontent-LENGTH: 4\r\n"],
    ["above 2^53 - 1", "Content-Length: 9007199254740992\r\n"],
    ["above 2^64", "Content-Length: 18446744073709551621\r\n"],
    ["that is empty", "Content-Length:\r\n"],
    ["with a fraction", "Content-Length: 5.0\r\n"],
    ["with an exponent", "Content-Length: 5e0\r\n"],
    ["with letters", "Content-Length: five\r\n"],
    ["with an underscore", "Content-Length: 5_0\r\n"],
    ["in other digits", "Content-Length: \xb2\r\n"],
    ["in quotes", 'Content-Length: "5"\r\n'],
    ["that ends in a comma", "Content-Length: 5,\r\n"],
    ["that begins with a comma", "Content-Length: ,5\r\n"],
    ["that is a list with an empty element", "Content-Length: 5,,5\r\n"],
    ["with a semicolon", "Content-Length: 5;a\r\n"],
    ["with a vertical tab", "Content-Length: \x0b5\r\n"],
    ["and Transfer-Encoding", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"],
    ["behind Transfer-Encoding", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"],
    ["of 0 and Transfer-Encoding", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"],
  ]) {
    it(`is refused ${name}`, async (t) => {
      const request = `POST / HTTP/1.1\r\nHost: fn\r\n${lines}\r\n0\r\n\r\n`;
      await assertRefused(await startWire(t), request, 400, "ERR_BAD_REQUEST");
    });
  }

  for (const [name, lines] of [
    ["005", "Content-Length: 005\r\n"],
    ["5, 5", "Content-Length: 5, 5\r\n"],
    ["5,5 ,\t5", "Content-Length: 5,5 ,\t5\r\n"],
    ["two equal lines", "Content-Length: 5\r\ncontent-length: 5\r\n"],
    ["two lines of equal value", "Content-Length: 5\r\nContent-Length: 05\r\n"],
    ["many zeros", `Content-Length: ${"0".repeat(30)}5\r\n`],
  ]) {
    it(`is forwarded as one plain number when it came as ${name}`, async (t) => {
      const wire = await startWire(t);
      await assertForwarded(
        wire,
        `POST / HTTP/1.1\r\nA: 1\r\n${lines}Host: fn\r\n\r\nhello`,
        `POST / HTTP/1.1\r\nA: 1\r\nHost: fn\r\nContent-Length: 5\r\n${wire.added()}hello`,
        "POST",
      );
    });
  }

  for (const [method, length, body] of [
    ["POST", "5", "hello"],
    ["POST", "0", ""],
    ["GET", "0", ""],
    ["GET", "5", "hello"],
    ["HEAD", "5", "hello"],
    ["DELETE", "2", "{}"],
    ["OPTIONS", "2", "\0\xff"],
    ["PROPFIND", "4", "\r\n\r\n"],
  ]) {
    it(`${length} passes with ${method} as it came`, async (t) => {
      const wire = await startWire(t);
      const head = `${method} / HTTP/1.1\r\nHost: fn\r\nContent-Length:   ${length}\r\nLast: one\r\n`;
      await assertForwarded(wire, `${head}\r\n${body}`, head + wire.added() + body, method);
    });
  }

  it("is not added to a request without a body", async (t) => {
    const wire = await startWire(t);
    const head = "POST / HTTP/1.1\r\nHost: fn\r\n";
    await assertForwarded(wire, `${head}\r\n`, head + wire.added(), "POST");
  });
});
