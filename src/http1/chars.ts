/** Byte classes of RFC 9110 §5.6 and RFC 9112 §3 as tables: one load a byte instead of a chain of comparisons. */

function table(test: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (test(byte) ? 1 : 0));
}

function oneOf(characters: string): (byte: number) => boolean {
  const codes = new Set([...characters].map((character) => character.charCodeAt(0)));
  return (byte) => codes.has(byte);
}

const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39;
const isAlpha = (byte: number) => (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
const isTokenMark = oneOf("!#$%&'*+-.^_`|~");
const isHostMark = oneOf("-._~%!$&'()*+;=");

/** tchar: methods and field names. */
export const TOKEN = table((byte) => isDigit(byte) || isAlpha(byte) || isTokenMark(byte));
/** field-vchar, space and tab; obs-text passes, every other control byte does not. */
export const VALUE = table((byte) => byte === 0x09 || (byte >= 0x20 && byte !== 0x7f));
/** What a request target may hold: visible ASCII, and never a fragment. */
export const TARGET = table((byte) => byte >= 0x21 && byte <= 0x7e && byte !== 0x23);
/** reg-name without the comma (RFC 3986 §3.2.2): a list in Host is an attack, not a name. */
export const HOST = table((byte) => isDigit(byte) || isAlpha(byte) || isHostMark(byte));
export const DIGIT = table(isDigit);

/** Lower case, with `_` as `-`: `X_Forwarded_For` is the twin that some servers merge with the real field. */
export const FOLD = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte >= 0x41 && byte <= 0x5a) return byte + 0x20;
  return byte === 0x5f ? 0x2d : byte;
});

/** Value of a hexadecimal digit, or 255. */
export const HEX = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (isDigit(byte)) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : 255;
});

export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const COMMA = 0x2c;
export const SLASH = 0x2f;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const QUESTION = 0x3f;
export const UNDERSCORE = 0x5f;

/** Does `buffer[start, end)` equal `lower`, a lower-case ASCII string, whatever the case of its letters? */
export function equalsIgnoreCase(buffer: Uint8Array, start: number, end: number, lower: string): boolean {
  if (end - start !== lower.length) return false;
  for (let index = 0; index < lower.length; index++) {
    let byte = buffer[start + index];
    if (byte >= 0x41 && byte <= 0x5a) byte += 0x20;
    if (byte !== lower.charCodeAt(index)) return false;
  }
  return true;
}

/**
 * Copies `source[start, end)` to `target` at `position` and returns the position behind it. Short runs go
 * byte by byte: crossing into the runtime costs as much as 50 bytes of loop.
 */
export function copyBytes(target: Buffer, position: number, source: Buffer, start: number, end: number): number {
  const length = end - start;
  if (length < 48) {
    for (let index = 0; index < length; index++) target[position + index] = source[start + index];
  } else {
    source.copy(target, position, start, end);
  }
  return position + length;
}

/** Writes an ASCII string at `position` and returns its length. */
export function writeLatin1(target: Buffer, text: string, position: number): number {
  return target.write(text, position, "latin1");
}

export function readLatin1(buffer: Buffer, start: number, end: number): string {
  return buffer.toString("latin1", start, end);
}
