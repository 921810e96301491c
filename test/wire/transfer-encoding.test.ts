import { describe, it } from "node:test";
import { assertForwarded, assertRefused, startWire } from "../support/wire.js";

const request = (value: string, version = "1.1") =>
  `POST / HTTP/${version}\r\nHost: fn\r\nTransfer-Encoding:${value}\r\n\r\n0\r\n\r\n`;

describe("Transfer-Encoding", () => {
  for (const value of [
    " gzip, chunked",
    " deflate , chunked",
    " x-gzip,\tchunked",
    " GZIP, CHUNKED",
    " gzip, br, chunked",
  ]) {
    it(`${JSON.stringify(value)} is not spoken here`, async (t) => {
      await assertRefused(await startWire(t), request(value), 501, "ERR_NOT_IMPLEMENTED");
    });
  }

  for (const value of [
    "",
    " ",
    " gzip",
    " identity",
    " chunke",
    " chunkedd",
    " xchunked",
    " chunked, chunked",
    " chunked, gzip",
    " chunked,",
    " ,chunked",
    " , chunked",
    " gzip,, chunked, chunked",
    " identity, chunked",
    " chunked;q=1",
    " chunked; foo=bar",
    ' "chunked"',
    " 'chunked'",
    " chunked\x0b",
    " \x0bchunked",
    " chunked\0",
    " \x0cchunked",
    " chun\xa0ked",
    " chunked\x85",
    " chunked\x7f",
    " \xefchunked",
    " cow, chunked",
    "\r\n chunked",
    " chunked\r\n\tx",
    "\n chunked",
  ]) {
    it(`${JSON.stringify(value)} is refused`, async (t) => {
      await assertRefused(await startWire(t), request(value), 400, "ERR_BAD_REQUEST");
    });
  }

  for (const [name, lines] of [
    ["twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"],
    ["in two fields that would make a list", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"],
    ["behind an empty one", "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n"],
    ["before identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"],
    ["with a blank before the colon", "Transfer-Encoding : chunked\r\n"],
    ["with a tab before the colon", "Transfer-Encoding\t: chunked\r\n"],
    ["with a control byte in its name", "Transfer-Encoding\x0b: chunked\r\n"],
    ["in a folded line", "X: y\r\n Transfer-Encoding: chunked\r\n"],
  ]) {
    it(`is refused ${name}`, async (t) => {
      const bytes = `POST / HTTP/1.1\r\nHost: fn\r\n${lines}\r\n0\r\n\r\n`;
      await assertRefused(await startWire(t), bytes, 400, "ERR_BAD_REQUEST");
    });
  }

  for (const value of [" chunked", " gzip, chunked", " identity"]) {
    it(`${JSON.stringify(value)} is refused in HTTP/1.0, which has none`, async (t) => {
      await assertRefused(await startWire(t), request(value, "1.0"), 400, "ERR_BAD_REQUEST");
    });
  }

  for (const value of ["chunked", " chunked", "\t chunked \t", " Chunked", " CHUNKED"]) {
    it(`${JSON.stringify(value)} is exactly chunked and passes as it came`, async (t) => {
      const wire = await startWire(t);
      const head = `POST / HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding:${value}\r\n`;
      const body = "5\r\nhello\r\n0\r\n\r\n";
      await assertForwarded(wire, `${head}\r\n${body}`, head + wire.added() + body, "POST");
    });
  }

  for (const method of ["GET", "HEAD", "DELETE", "OPTIONS", "PUT", "QUERY"]) {
    it(`chunked is forwarded with ${method}, framing and all`, async (t) => {
      const wire = await startWire(t);
      const head = `${method} / HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n`;
      const body = "00A\r\n0123456789\r\n1\r\n!\r\n000\r\n\r\n";
      await assertForwarded(wire, `${head}\r\n${body}`, head + wire.added() + body, method);
    });
  }
});
