export interface MessageRead {
  readonly startLine: string;
  readonly status: number;
  /** Names in lower case; several fields of one name in their order. */
  readonly fields: readonly (readonly [string, string])[];
  /** The body without its framing. */
  readonly body: Buffer;
  /** Bytes of the whole message on the wire. */
  readonly length: number;
  /** The value of the first field of that name. */
  header(name: string): string | undefined;
  json(): { readonly [name: string]: unknown };
}

/** Reads one response from the start of `bytes`, or undefined while it is not complete. Trusts what it reads. */
export function readResponse(bytes: Buffer, method: string, hasEnded: boolean): MessageRead | undefined {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const [startLine, ...lines] = bytes.toString("latin1", 0, headEnd).split("\r\n");
  const status = Number(startLine.split(" ")[1]);
  const fields = lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  const header = (name: string) => fields.find(([field]) => field === name.toLowerCase())?.[1];
  const bodyStart = headEnd + 4;
  const done = (body: Buffer, length: number): MessageRead => ({
    startLine,
    status,
    fields,
    body: Buffer.from(body),
    length,
    header,
    json: () => JSON.parse(body.toString("utf8")) as { readonly [name: string]: unknown },
  });
  if (method === "HEAD" || status < 200 || status === 204 || status === 304) return done(Buffer.alloc(0), bodyStart);
  if (header("transfer-encoding") === "chunked") {
    const chunked = readChunked(bytes, bodyStart);
    return chunked === undefined ? undefined : done(chunked.body, chunked.end);
  }
  const length = header("content-length");
  if (length !== undefined) {
    const end = bodyStart + Number(length);
    return bytes.length < end ? undefined : done(bytes.subarray(bodyStart, end), end);
  }
  return hasEnded ? done(bytes.subarray(bodyStart), bytes.length) : undefined;
}

function readChunked(bytes: Buffer, start: number): { readonly body: Buffer; readonly end: number } | undefined {
  const parts: Buffer[] = [];
  let at = start;
  for (;;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    at = lineEnd + 2;
    if (size === 0) {
      // Trailers up to the empty line.
      for (;;) {
        const end = bytes.indexOf("\r\n", at);
        if (end < 0) return undefined;
        if (end === at) return { body: Buffer.concat(parts), end: end + 2 };
        at = end + 2;
      }
    }
    if (bytes.length < at + size + 2) return undefined;
    parts.push(bytes.subarray(at, at + size));
    at += size + 2;
  }
}
