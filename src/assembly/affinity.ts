import { randomBytes } from "node:crypto";
import type { ClusterSettings } from "../config/config.js";
import type { Affinity } from "../core/affinity/affinity.js";
import { codecList } from "../core/affinity/codec-list.js";
import type { CookieCodec } from "../core/affinity/cookie-codec.js";
import { encryptedCodec } from "../core/affinity/encrypted-codec.js";
import { hashCodec } from "../core/affinity/hash-codec.js";
import { rawCodec } from "../core/affinity/raw-codec.js";
import { signedCodec } from "../core/affinity/signed-codec.js";
import { StickyHeader } from "../core/affinity/sticky-header.js";
import { StickySession } from "../core/affinity/sticky-session.js";
import type { Clock } from "../core/clock.js";
import { FnlbError } from "../errors.js";
import { isEndToEnd } from "../http1/header-rules.js";

/** Fields with a meaning of their own, which an opaque value would break. */
const TAKEN = ["host", "cookie", "set-cookie", "location", "content-type", "content-encoding", "authorization"];

/**
 * Affinity of a cluster, or undefined where that is off. Throws `ERR_OPTION` for attributes that no cookie can have,
 * and for a header that has another meaning.
 */
export function affinityOf(settings: ClusterSettings, clock: Clock): Affinity | undefined {
  const { stickyCookie, stickyHeader } = settings;
  if (stickyHeader !== "" && (!isEndToEnd(stickyHeader) || TAKEN.includes(stickyHeader.toLowerCase()))) {
    throw new FnlbError("ERR_OPTION", `option "sticky-header" must be a field of its own, got "${stickyHeader}"`);
  }
  if (stickyHeader !== "") return new StickyHeader({ name: stickyHeader, codec: codecOf(settings, clock) });
  return stickyCookie === "" ? undefined : byCookie(settings, codecOf(settings, clock));
}

function byCookie(settings: ClusterSettings, codec: CookieCodec): Affinity {
  const session = new StickySession({
    name: settings.stickyCookie,
    codec,
    renews: true,
    path: settings.stickyPath,
    secure: settings.stickySecure,
    httpOnly: settings.stickyHttpOnly,
    sameSite: settings.stickySameSite,
    ...(settings.stickyDomain === "" ? {} : { domain: settings.stickyDomain }),
    ...(settings.stickyMaxAgeMs === 0 ? {} : { maxAgeSeconds: Math.floor(settings.stickyMaxAgeMs / 1000) }),
  });
  return {
    field: "cookie",
    separator: "; ",
    find: (exchange, members) => session.find({ cookieHeader: exchange.affinity, members, exchange }),
    named: ({ affinity: cookieHeader }, members) => session.named({ cookieHeader, members }),
    line(cookieHeader, members, node) {
      const cookie = session.setCookie({ cookieHeader, members }, node);
      return cookie === undefined ? "" : `Set-Cookie: ${cookie}`;
    },
  };
}

function codecOf(settings: ClusterSettings, clock: Clock): CookieCodec {
  const keys = settings.stickySecrets;
  const codecs = settings.stickyCodecs.map((name) => {
    switch (name) {
      case "signed":
        return signedCodec({ keys });
      case "encrypted":
        return encryptedCodec({ clock, randomBytes }, { keys, ttlMs: settings.stickyTtlMs });
      case "raw":
        return rawCodec();
      case "hash":
        return hashCodec();
      default:
        return name satisfies never;
    }
  });
  return codecList(codecs);
}
