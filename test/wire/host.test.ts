import { describe, it } from "node:test";
import { assertForwarded, assertRefused, startWire } from "../support/wire.js";

describe("Host", () => {
  for (const [name, lines] of [
    ["missing", ""],
    ["sent twice with different values", "Host: fn\r\nHost: other\r\n"],
    ["sent twice with the same value", "Host: fn\r\nHost: fn\r\n"],
    ["empty", "Host:\r\n"],
    ["blank", "Host:  \t\r\n"],
    ["preceded by userinfo", "Host: user@fn\r\n"],
    ["followed by a path", "Host: fn/a\r\n"],
    ["a URL", "Host: http://fn\r\n"],
    ["followed by a query", "Host: fn?a\r\n"],
    ["followed by a fragment", "Host: fn#a\r\n"],
    ["a backslash's prey", "Host: fn\\a\r\n"],
    ["split by a blank", "Host: fn other\r\n"],
    ["split by a tab", "Host: fn\tother\r\n"],
    ["a list", "Host: fn,other\r\n"],
    ["8-bit", "Host: f\xfcn\r\n"],
    ["a port without a name", "Host: :80\r\n"],
    ["followed by a port that is no number", "Host: fn:8a\r\n"],
    ["followed by a signed port", "Host: fn:-1\r\n"],
    ["followed by two ports", "Host: fn:80:81\r\n"],
    ["an IPv6 address that does not end", "Host: [::1\r\n"],
    ["an empty IPv6 address", "Host: []\r\n"],
    ["an IPv6 address with something behind it", "Host: [::1]x\r\n"],
    ["an IPv6 address without brackets", "Host: ::1\r\n"],
  ]) {
    it(`is refused when it is ${name}`, async (t) => {
      await assertRefused(await startWire(t), `GET / HTTP/1.1\r\n${lines}\r\n`, 400, "ERR_BAD_REQUEST");
    });
  }

  for (const host of [
    "fn",
    "FN.Example.",
    "fn:8080",
    "fn:",
    "127.0.0.1:1",
    "[::1]",
    "[fe80::1%25eth0]:80",
    "a_b-c~d",
    "%41",
  ]) {
    it(`FA4: ${host} reaches the node as it came`, async (t) => {
      const wire = await startWire(t);
      const head = `GET / HTTP/1.1\r\nhOST:\t ${host} \r\n`;
      await assertForwarded(wire, `${head}\r\n`, head + wire.added(host));
    });
  }

  it("is the node's own when an HTTP/1.0 request brings none", async (t) => {
    const wire = await startWire(t);
    const host = `127.0.0.1:${wire.origin.port}`;
    await assertForwarded(
      wire,
      "GET /a HTTP/1.0\r\nX: y\r\n\r\n",
      `GET /a HTTP/1.1\r\nHost: ${host}\r\nX: y\r\n${wire.added("")}`,
    );
  });

  for (const lines of ["Host:\r\n", "Host: fn\r\nHost: fn\r\n", "Host: a@b\r\n"]) {
    it(`is refused in HTTP/1.0 too when it is ${JSON.stringify(lines)}`, async (t) => {
      await assertRefused(await startWire(t), `GET / HTTP/1.0\r\n${lines}\r\n`, 400, "ERR_BAD_REQUEST");
    });
  }
});
