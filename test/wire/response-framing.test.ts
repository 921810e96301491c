import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startExchange } from "../support/exchange.js";
import { answering } from "../support/raw-origin.js";
import { assertProblem, startWire } from "../support/wire.js";

const OK = "HTTP/1.1 200 OK\r\n";
const HEAD_MAX = 64 * 1024;

/** A head of exactly so many bytes, in lines of at most 1000. */
function headOf(bytes: number): string {
  const start = `${OK}Content-Length: 0\r\n`;
  let head = start;
  while (bytes - 2 - head.length > 2000) head += `X: ${"y".repeat(995)}\r\n`;
  head += `X: ${"y".repeat(bytes - head.length - 7)}\r\n\r\n`;
  return head;
}

describe("a response", () => {
  for (const [name, bytes] of [
    ["both framings", `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ["differing Content-Lengths", `${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`],
    ["a list of differing Content-Lengths", `${OK}Content-Length: 5, 6\r\n\r\nhello!`],
    ["a Content-Length that is no number", `${OK}Content-Length: five\r\n\r\nhello`],
    ["a signed Content-Length", `${OK}Content-Length: +5\r\n\r\nhello`],
    ["an empty Content-Length", `${OK}Content-Length:\r\n\r\n`],
    ["a Transfer-Encoding that is not chunked", `${OK}Transfer-Encoding: gzip\r\n\r\n`],
    ["a further coding", `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    ["Transfer-Encoding twice", `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ["Transfer-Encoding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["a control byte in a value", `${OK}X: \x01\r\n\r\n`],
    ["NUL in a value", `${OK}X: a\0b\r\n\r\n`],
    ["a bare CR in a value", `${OK}X: a\rb\r\n\r\n`],
    ["a bare LF as line end", `${OK}X: a\nY: b\r\n\r\n`],
    ["bare LFs throughout", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
    ["a blank before the colon", `${OK}X : y\r\n\r\n`],
    ["a folded line", `${OK}X: y\r\n z\r\n\r\n`],
    ["a name that is no token", `${OK}X(: y\r\n\r\n`],
    ["no name", `${OK}: y\r\n\r\n`],
    ["no colon", `${OK}X\r\n\r\n`],
    ["a status below 100", "HTTP/1.1 099 No\r\n\r\n"],
    ["a status above 599", "HTTP/1.1 600 No\r\n\r\n"],
    ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
    ["a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"],
    ["a status that is no number", "HTTP/1.1 2xx OK\r\n\r\n"],
    ["no status", "HTTP/1.1 OK\r\n\r\nOK"],
    ["a tab in its status line", "HTTP/1.1\t200 OK\r\n\r\n"],
    ["two blanks before its status", "HTTP/1.1  200 OK\r\n\r\n"],
    ["a control byte in its reason", "HTTP/1.1 200 O\x07K\r\n\r\n"],
    ["a bare CR in its reason", "HTTP/1.1 200 O\rK\r\n\r\n"],
    ["another major version", "HTTP/2.0 200 OK\r\n\r\n"],
    ["a version in lower case", "http/1.1 200 OK\r\n\r\n"],
    ["a version of two digits", "HTTP/1.10 200 OK\r\n\r\n"],
    ["an empty line before it", `\r\n${OK}Content-Length: 0\r\n\r\n`],
    ["no HTTP at all", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["an ICY status line", "ICY 200 OK\r\n\r\n"],
    ["a request", "GET / HTTP/1.1\r\nHost: fn\r\n\r\n"],
    ["TLS", "\x15\x03\x01\0\x02\x02\x46"],
    ["more than 500 fields", `${OK}${"X: y\r\n".repeat(501)}\r\n`],
    ["a head over 64 KiB", headOf(HEAD_MAX + 1)],
    ["a head over 64 KiB that does not end", `${OK}X: ${"y".repeat(HEAD_MAX)}`],
  ]) {
    it(`with ${name} is answered 502, and its connection is gone`, async (t) => {
      const { client, node, balancer, until } = await startExchange(t);
      node.send(bytes);
      const response = await client.response();
      assertProblem(response, 502, "ERR_BAD_RESPONSE");
      assert.equal(response.header("connection"), undefined, "the client is not to blame");
      await node.log.untilEnd();
      await until("the connection to be gone", ({ nodes }) => nodes[0].connections === 0);
      assert.equal(balancer.snapshot().nodes[0].alive, true);
      assert.equal((await client.ask("OPTIONS * HTTP/1.1\r\nHost: fn\r\n\r\n")).status, 200);
    });
  }

  for (const [name, bytes, relayed] of [
    [
      "Content-Length 005",
      `${OK}Content-Length: 005\r\nX: y\r\n\r\nhello`,
      `${OK}X: y\r\nContent-Length: 5\r\n\r\nhello`,
    ],
    [
      "a list of equal Content-Lengths",
      `${OK}Content-Length: 5, 5\r\n\r\nhello`,
      `${OK}Content-Length: 5\r\n\r\nhello`,
    ],
    [
      "two equal Content-Lengths",
      `${OK}Content-Length: 5\r\nX: y\r\nContent-Length: 5\r\n\r\nhello`,
      `${OK}X: y\r\nContent-Length: 5\r\n\r\nhello`,
    ],
    ["a head of 64 KiB", headOf(HEAD_MAX), headOf(HEAD_MAX)],
    ["no reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"],
    [
      "neither reason nor blank",
      "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    ],
    [
      "any reason",
      "HTTP/1.1 599 \xe4 b\tc\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 599 \xe4 b\tc\r\nContent-Length: 0\r\n\r\n",
    ],
    ["version 1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", `${OK}Content-Length: 2\r\n\r\nok`],
    ["version 1.5", "HTTP/1.5 200 OK\r\nContent-Length: 2\r\n\r\nok", `${OK}Content-Length: 2\r\n\r\nok`],
    [
      "chunks and their extensions",
      `${OK}Transfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n01\r\n!\r\n0;x\r\n\r\n`,
      `${OK}Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n01\r\n!\r\n0\r\n\r\n`,
    ],
    [
      "fields of all kinds",
      `${OK}b:1\r\nA:  2 \r\nSet-Cookie: a\r\nDate: x\r\nSet-Cookie: b\r\nX:\r\nServer: \xff\r\nContent-Length: 0\r\n\r\n`,
      `${OK}b:1\r\nA:  2 \r\nSet-Cookie: a\r\nDate: x\r\nSet-Cookie: b\r\nX:\r\nServer: \xff\r\nContent-Length: 0\r\n\r\n`,
    ],
  ]) {
    it(`FA22: with ${name} reaches the client in exactly this way`, async (t) => {
      const { client, node } = await startExchange(t);
      node.send(bytes);
      await client.log.untilLength(relayed.length);
      assert.equal(client.text, relayed);
    });
  }

  for (const status of [300, 301, 302, 303, 307, 308]) {
    it(`FA18: of ${status} reaches the client unfollowed`, async (t) => {
      const response = `HTTP/1.1 ${status} Elsewhere\r\nLocation: http://elsewhere.example/x\r\nContent-Length: 4\r\n\r\ngone`;
      const { client, origin, balancer } = await startWire(t, {}, { onConnection: answering(response) });
      client.send("GET / HTTP/1.1\r\nHost: fn\r\n\r\n");
      await client.log.untilLength(response.length);
      assert.equal(client.text, response);
      const { counters } = balancer.snapshot();
      assert.deepEqual([counters.responses3xx, counters.attempts, origin.connections.length], [1, 1, 1]);
    });
  }
});
