import { badOption } from "./units.js";
import { type Given, listItems, single, TOKEN } from "./value.js";

export type StickyCodecName = "signed" | "encrypted" | "raw" | "hash";

const STICKY_CODECS: readonly StickyCodecName[] = ["signed", "encrypted", "raw", "hash"];
const SECRET_BYTES_MIN = 16;
/** Each is tried on a forged value. */
const SECRETS_MAX = 16;
const AES_KEY_BYTES = [16, 24, 32];

/** "", or the name of a cookie or field. */
export function readStickyName(given: Given): string {
  const name = single(given);
  if (name !== "" && !TOKEN.test(name)) throw badOption(given.source, "a token", name);
  return name;
}

export function readStickyCodecs(given: Given): readonly StickyCodecName[] {
  const expected = `one or more of ${STICKY_CODECS.join(", ")}`;
  const codecs = listItems(given).map((item) => {
    const codec = STICKY_CODECS.find((name) => name === item);
    if (codec === undefined) throw badOption(given.source, expected, item);
    return codec;
  });
  if (codecs.length === 0) throw badOption(given.source, expected, "");
  return codecs;
}

/** A secret is never repeated in an error. */
export function readStickySecrets(given: Given): readonly string[] {
  const secrets = listItems(given);
  if (secrets.length > SECRETS_MAX) throw badOption(given.source, `at most ${SECRETS_MAX} keys`, `${secrets.length}`);
  for (const secret of secrets) {
    const bytes = Buffer.byteLength(secret);
    if (bytes < SECRET_BYTES_MIN) {
      throw badOption(given.source, `keys of ${SECRET_BYTES_MIN} bytes or more`, `one of ${bytes}`);
    }
  }
  return secrets;
}

export function readStickyPath(given: Given): string {
  const path = single(given);
  if (!/^\/[ -:<-~]*$/.test(path)) throw badOption(given.source, "a path without a semicolon", path);
  return path;
}

export function readStickyDomain(given: Given): string {
  const domain = single(given);
  if (domain !== "" && !/^\.?[\da-z](?:[\d.a-z-]*[\da-z])?$/i.test(domain))
    throw badOption(given.source, "a host name", domain);
  return domain;
}

/** What the options of affinity say together. */
export interface StickyChoice {
  readonly stickyCookie: string;
  readonly stickyHeader: string;
  readonly stickyCodecs: readonly StickyCodecName[];
  readonly stickySecrets: readonly string[];
  readonly stickyPath: string;
  readonly stickyDomain: string;
  readonly stickySecure: boolean;
  readonly stickySameSite: "strict" | "lax" | "none";
}

/** Refuses choices that no cookie could carry. `sources` name the options as errors do. */
export function checkSticky(
  choice: StickyChoice,
  sources: { readonly cookie: string; readonly secret: string; readonly header: string; readonly sameSite: string },
): void {
  const { stickyCookie, stickyHeader, stickyCodecs, stickySecrets, stickySecure, stickySameSite } = choice;
  const isOn = stickyCookie !== "" || stickyHeader !== "";
  const isEncrypted = stickyCodecs.includes("encrypted");
  if (stickyCookie !== "" && stickyHeader !== "") {
    throw badOption(sources.header, "left out with --sticky-cookie", stickyHeader);
  }
  if (!isOn && stickySecrets.length > 0) {
    throw badOption(sources.secret, "left out without --sticky-cookie or --sticky-header", "one");
  }
  if (isOn && stickySecrets.length === 0 && (isEncrypted || stickyCodecs.includes("signed"))) {
    throw badOption(sources.secret, "given for signed and encrypted values", "");
  }
  for (const bytes of stickySecrets.map((secret) => Buffer.byteLength(secret))) {
    if (isEncrypted && !AES_KEY_BYTES.includes(bytes)) {
      throw badOption(sources.secret, "keys of 16, 24 or 32 bytes for encrypted values", `one of ${bytes}`);
    }
  }
  checkPrefix(choice, sources.cookie);
  if (stickySameSite === "none" && !stickySecure) {
    throw badOption(sources.sameSite, "strict or lax without --sticky-secure", "none");
  }
}

/** Browsers drop a cookie whose name promises what its attributes do not keep (RFC 6265bis §4.1.3). */
function checkPrefix({ stickyCookie, stickyPath, stickyDomain, stickySecure }: StickyChoice, source: string): void {
  const prefix = /^__(?:host|secure)-/i.exec(stickyCookie)?.[0].toLowerCase();
  if (prefix !== undefined && !stickySecure) throw badOption(source, "used with --sticky-secure", stickyCookie);
  if (prefix === "__host-" && (stickyDomain !== "" || stickyPath !== "/")) {
    throw badOption(source, "used with --sticky-path / and without --sticky-domain", stickyCookie);
  }
}
