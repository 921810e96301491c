import fc from "fast-check";

// Requests and responses that are put together from parts which often fit, so that many of them are accepted.
/** Names of fields, many of them with a meaning. */
export const fieldName = fc.oneof(
  fc.constantFrom("X", "Accept", "cookie", "X_Y", "Via", "Forwarded", "X-Forwarded-For", "TE", "Connection", "Upgrade"),
  fc.stringMatching(/^[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,12}$/),
);
/** Values as they may come, blanks around them and bytes outside of ASCII included. */
export const fieldValue = fc.oneof(
  fc.constantFrom(
    "",
    "a",
    "a, b",
    "close",
    "keep-alive",
    "upgrade",
    "trailers",
    "websocket",
    "5",
    "\t x \t",
    "\xe4\xff",
  ),
  fc
    .array(
      fc.integer({ min: 0x20, max: 0xff }).filter((byte) => byte !== 0x7f),
      { maxLength: 12 },
    )
    .map((bytes) => Buffer.from(bytes).toString("latin1")),
);
const blank = fc.constantFrom("", " ", "\t", "  ");
const field = fc
  .tuple(fieldName, blank, fieldValue, blank)
  .map(([key, before, text, after]) => `${key}:${before}${text}${after}\r\n`);
const data = fc.array(fc.nat(255), { maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
const extension = fc.constantFrom("", "", "", ";a", ";a=b", ';a="\\t"', " ;a");
const chunk = fc
  .tuple(
    data.filter((bytes) => bytes !== ""),
    extension,
    fc.constantFrom("", "0", "00"),
  )
  .map(([bytes, after, zeros]) => `${zeros}${bytes.length.toString(16)}${after}\r\n${bytes}\r\n`);
const trailer = fc.constantFrom("", "", "X: y\r\n", "Host: evil\r\n", "A: 1\r\nContent-Length: 3\r\nB:\r\n");
const body = fc.oneof(
  fc.constant(["", ""] as const),
  data.map((bytes) => [`Content-Length: ${bytes.length}\r\n`, bytes] as const),
  data.map((bytes) => [`Content-Length: ${bytes.length}, 0${bytes.length}\r\n`, bytes] as const),
  fc
    .tuple(fc.array(chunk, { maxLength: 3 }), trailer)
    .map(([chunks, last]) => ["Transfer-Encoding: chunked\r\n", `${chunks.join("")}0\r\n${last}\r\n`] as const),
);
const target = fc.oneof(
  fc.constantFrom(
    "/",
    "/a?b",
    "*",
    "http://fn",
    "http://fn?x",
    "https://fn/a//b",
    "//fn/x",
    "/%2f..%00",
    "fn:80",
    "/a#b",
  ),
  fc
    .array(fc.integer({ min: 0x21, max: 0x7e }), { maxLength: 16 })
    .map((bytes) => `/${Buffer.from(bytes).toString("latin1")}`),
);
const method = fc.oneof(
  fc.constantFrom("GET", "POST", "HEAD", "PUT", "OPTIONS", "BREW", "get", "M-SEARCH", "SOURCE"),
  fieldName,
);
const version = fc.constantFrom("1.1", "1.1", "1.1", "1.0", "1.9");
/** A request with its body; most of them are accepted. */
export const built = fc
  .record({
    method,
    target,
    version,
    before: fc.array(field, { maxLength: 4 }),
    body,
    after: fc.array(field, { maxLength: 2 }),
  })
  .map(({ method: verb, target: at, version: spoken, before, body: [framing, bytes], after }) => {
    const host = at.startsWith("http") || spoken !== "1.0" ? "Host: fn\r\n" : "";
    return `${verb} ${at} HTTP/${spoken}\r\n${before.join("")}${host}${framing}${after.join("")}\r\n${bytes}`;
  });
/** A response with its body, perhaps behind an interim one. */
export const builtResponse = fc
  .record({
    version,
    status: fc.constantFrom(200, 200, 201, 204, 304, 404, 599, 103, 100),
    before: fc.array(field, { maxLength: 4 }),
    body,
  })
  .map(({ version: spoken, status, before, body: [framing, bytes] }) => {
    const head = `HTTP/${spoken} ${status} Some reason\r\n${before.join("")}${framing}\r\n`;
    return status < 200 ? `${head}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n` : head + bytes;
  });

/** The lines of a head as anybody would read them who knows that it is well-formed. */
export function fieldsOf(head: string): readonly (readonly [string, string])[] {
  const lines = head.split("\r\n").slice(1, -2);
  return lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "")] as const;
  });
}
