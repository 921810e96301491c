export interface RedirectOptions {
  /** Say `Connection: close`. */
  readonly closes: boolean;
  /** IMF-fixdate for the Date field. */
  readonly date: string;
}

/**
 * A complete 308 (RFC 9110 §15.4.9): method and body are to be sent to `location` instead. `location` is made of bytes
 * that a request target may hold, so no line can end in it.
 */
export function redirectResponse(location: string, { closes, date }: RedirectOptions): Buffer {
  const close = closes ? "Connection: close\r\n" : "";
  return Buffer.from(
    `HTTP/1.1 308 Permanent Redirect\r\nDate: ${date}\r\nLocation: ${location}\r\nContent-Length: 0\r\n${close}\r\n`,
    "latin1",
  );
}
