import { describe, it } from "node:test";
import { assertForwarded, assertRefused, startWire } from "../support/wire.js";

describe("a request's fields", () => {
  for (const [name, lines] of [
    ["a blank before the colon", "X : y\r\n"],
    ["a tab before the colon", "X\t: y\r\n"],
    ["no name", ": y\r\n"],
    ["no colon", "X\r\n"],
    ["a blank before the first name", " X: y\r\n"],
    ["a folded line", "X: y\r\n z\r\n"],
    ["a line folded by a tab", "X: y\r\n\tz\r\n"],
    ["a folded line behind an empty value", "X:\r\n y\r\n"],
    ["a bare LF as line end", "X: y\nZ: z\r\n"],
    ["a bare CR in a value", "X: y\rZ: z\r\n"],
    ["a bare CR in a name", "X\rY: z\r\n"],
    ["CR CR LF", "X: y\r\r\n"],
    ["LF CR", "X: y\n\rZ: z\r\n"],
    ["NUL in a value", "X: y\0z\r\n"],
    ["NUL in a name", "X\0: y\r\n"],
    ["a backspace in a value", "X: y\x08\r\n"],
    ["an escape in a value", "X: \x1b[0m\r\n"],
    ["DEL in a value", "X: \x7f\r\n"],
    ["a vertical tab before a value", "X:\x0by\r\n"],
    ["an 8-bit name", "X\xe4: y\r\n"],
    ["a name in brackets", "[X]: y\r\n"],
    ["a name with a slash", "X/Y: z\r\n"],
    ["a name with a blank inside", "X Y: z\r\n"],
    ["a name with a comma", "X,Y: z\r\n"],
    ["a name in quotes", '"X": y\r\n'],
    ["an empty line that is a bare LF", "X: y\r\n\n"],
    ["an empty line that is a bare CR", "X: y\r\n\rZ: z\r\n"],
  ]) {
    it(`are refused with ${name}`, async (t) => {
      await assertRefused(await startWire(t), `GET / HTTP/1.1\r\nHost: fn\r\n${lines}\r\n`, 400, "ERR_BAD_REQUEST");
    });
  }

  it("are refused when all line ends are bare LFs", async (t) => {
    await assertRefused(await startWire(t), "GET / HTTP/1.1\nHost: fn\n\n", 400, "ERR_BAD_REQUEST");
  });

  it("reach the node byte by byte: order, letters, blanks, doubles, empty values and 8-bit bytes", async (t) => {
    const wire = await startWire(t);
    const head =
      "GET / HTTP/1.1\r\nx-FIRST:no blank\r\nhOsT: fn\r\nX-Blank:  \t two \t \r\nAccept: a\r\nCookie: a=1\r\nAccept: b\r\n" +
      "X-Empty:\r\nCookie: b=2\r\nX-Latin: \xe4\xf6\xfc\xff\x80\r\nX-Tab: a\tb\r\n!#$%&'*+-.^_`|~09aZ: tokens\r\n" +
      'Content_Type: twin of something else\r\nX-Colons: a:b::c\r\nRange: bytes=0-1,3-4\r\nIf-None-Match: "x"\r\n';
    await assertForwarded(wire, `${head}\r\n`, head + wire.added());
  });

  it("FA4, FA22: are not joined by a User-Agent, an Accept-Encoding or anything else that was not sent", async (t) => {
    const wire = await startWire(t);
    await assertForwarded(wire, "GET / HTTP/1.1\r\nHost: fn\r\n\r\n", `GET / HTTP/1.1\r\nHost: fn\r\n${wire.added()}`);
  });

  it("pass their User-Agent, Accept-Encoding, Authorization and Trailer on", async (t) => {
    const wire = await startWire(t);
    const head =
      "GET / HTTP/1.1\r\nHost: fn\r\nUser-Agent: u\r\nAccept-Encoding: gzip;q=0\r\nAuthorization: Basic x\r\nTrailer: X\r\n";
    await assertForwarded(wire, `${head}\r\n`, head + wire.added());
  });
});
