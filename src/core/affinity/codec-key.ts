import { FnlbError } from "../../errors.js";

/** A secret: bytes, or a text of which the UTF-8 bytes are taken. */
export type CodecKey = string | Uint8Array;

/** Verifying tries every key: their number bounds the work that a forged cookie causes. */
const KEYS_MAX = 16;

/**
 * The bytes of rotating keys: the first writes, all are accepted. Throws `ERR_OPTION` for no key, more than 16, or
 * a length that does not fit; the message never holds a key.
 */
export function codecKeys(
  keys: readonly CodecKey[],
  isLength: (bytes: number) => boolean,
  lengths: string,
): Uint8Array[] {
  if (keys.length === 0 || keys.length > KEYS_MAX) {
    throw new FnlbError("ERR_OPTION", `option "keys" must be 1 to ${KEYS_MAX} keys, got ${keys.length}`);
  }
  return keys.map((key) => {
    const bytes = typeof key === "string" ? new TextEncoder().encode(key) : Uint8Array.from(key);
    if (isLength(bytes.length)) return bytes;
    throw new FnlbError("ERR_OPTION", `option "keys" must be keys of ${lengths} bytes, got one of ${bytes.length}`);
  });
}
