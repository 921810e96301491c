import { describe, it } from "node:test";
import { assertForwarded, startWire, VIA, type Wire, type WireConfig } from "../support/wire.js";

const SENT =
  "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outer\r\nX-Forwarded-Port: 443\r\n" +
  "Forwarded: for=1.2.3.4\r\n";
const TRUSTED = { trustedProxies: ["127.0.0.0/8"] };
const HEAD = "GET / HTTP/1.1\r\nHost: fn\r\n";

/** A row: what is configured, what the client sends, what the node gets between the request's own fields and Via. */
type Row = readonly [name: string, config: WireConfig, sent: string, kept: string, added: (wire: Wire) => string];

const proto = "X-Forwarded-Proto: http\r\n";
const host = "X-Forwarded-Host: fn\r\n";
const port = (wire: Wire) => `X-Forwarded-Port: ${wire.port}\r\n`;
const self = "X-Forwarded-For: 127.0.0.1\r\n";

const ROWS: readonly Row[] = [
  ["are added to a request that brings none", {}, "", "", (wire) => self + proto + host + port(wire)],
  [
    "of a peer that is not trusted are overwritten, and its -For appended to",
    {},
    SENT,
    "",
    (wire) => `X-Forwarded-For: 1.2.3.4, 127.0.0.1\r\n${proto}${host}${port(wire)}`,
  ],
  [
    "of a peer that is not trusted are dropped altogether with replace",
    { forwardedFor: "replace" },
    SENT,
    "",
    (wire) => self + proto + host + port(wire),
  ],
  [
    "leave -For as it came when it is off",
    { forwardedFor: "off" },
    SENT,
    `${SENT.split("\n")[0]}\n`,
    (wire) => proto + host + port(wire),
  ],
  [
    "FA4: join several -For fields in their order into one",
    {},
    "X-Forwarded-For: a, b\r\nx-forwarded-for: c\r\nX-Forwarded-For:\r\nX-Forwarded-For: d\r\n",
    "",
    (wire) => `X-Forwarded-For: a, b, c, d, 127.0.0.1\r\n${proto}${host}${port(wire)}`,
  ],
  [
    "have no twins with underscores",
    {},
    "X_Forwarded_For: 6.6.6.6\r\nx-forwarded_proto: https\r\nX_FORWARDED-HOST: evil\r\nX-Forwarded_Port: 1\r\n",
    "",
    (wire) => self + proto + host + port(wire),
  ],
  [
    "of a trusted peer are kept, and its -For appended to",
    TRUSTED,
    SENT,
    SENT.slice(SENT.indexOf("X-Forwarded-Proto")),
    () => "X-Forwarded-For: 1.2.3.4, 127.0.0.1\r\n",
  ],
  [
    "of a trusted peer are completed",
    TRUSTED,
    "X-Forwarded-Proto: https\r\n",
    "X-Forwarded-Proto: https\r\n",
    (wire) => self + host + port(wire),
  ],
  [
    "of a trusted peer have no twins either",
    TRUSTED,
    "X_Forwarded_For: 6.6.6.6\r\n",
    "",
    (wire) => self + proto + host + port(wire),
  ],
  [
    "of a peer outside the trusted blocks are not kept",
    { trustedProxies: ["10.0.0.0/8", "::1"] },
    SENT,
    "",
    (wire) => `X-Forwarded-For: 1.2.3.4, 127.0.0.1\r\n${proto}${host}${port(wire)}`,
  ],
  [
    "may be RFC 7239's instead",
    { forwardedHeaders: "forwarded" },
    SENT,
    "",
    () => 'X-Forwarded-For: 1.2.3.4, 127.0.0.1\r\nForwarded: for=127.0.0.1;proto=http;host="fn"\r\n',
  ],
  [
    "may be both, and a trusted peer's Forwarded goes before ours",
    { ...TRUSTED, forwardedHeaders: "both" },
    "Forwarded: for=1.2.3.4\r\n",
    "Forwarded: for=1.2.3.4\r\n",
    (wire) => `${self}${proto}${host}${port(wire)}Forwarded: for=127.0.0.1;proto=http;host="fn"\r\n`,
  ],
  ["may be none, and still nobody else's", { forwardedHeaders: "none", forwardedFor: "replace" }, SENT, "", () => self],
];

describe("forwarding fields", () => {
  for (const [name, config, sent, kept, added] of ROWS) {
    it(name, async (t) => {
      const wire = await startWire(t, config);
      await assertForwarded(wire, `${HEAD}${sent}\r\n`, `${HEAD}${kept}${added(wire)}Via: 1.1 ${VIA}\r\n\r\n`);
    });
  }

  it("name an IPv6 client in brackets where RFC 7239 wants them", async (t) => {
    const listeners = [{ address: { kind: "tcp" as const, host: "127.0.0.1", port: 0 }, proxyProtocol: true }];
    const wire = await startWire(t, { ...TRUSTED, listeners, forwardedHeaders: "both" });
    await assertForwarded(
      wire,
      `PROXY TCP6 2001:db8::1 2001:db8::2 1000 443\r\n${HEAD}\r\n`,
      `${HEAD}X-Forwarded-For: 2001:db8::1\r\n${proto}${host}X-Forwarded-Port: 443\r\n` +
        `Forwarded: for="[2001:db8::1]";proto=http;host="fn"\r\nVia: 1.1 ${VIA}\r\n\r\n`,
    );
  });
});
