import { randomBytes } from "node:crypto";
import type { ClusterSettings } from "../config/config.js";
import { codecList } from "../core/affinity/codec-list.js";
import { encryptedCodec } from "../core/affinity/encrypted-codec.js";
import { hashCodec } from "../core/affinity/hash-codec.js";
import { rawCodec } from "../core/affinity/raw-codec.js";
import { signedCodec } from "../core/affinity/signed-codec.js";
import { StickySession } from "../core/affinity/sticky-session.js";
import type { Clock } from "../core/clock.js";

/** Affinity of a cluster, or undefined where that is off. Throws `ERR_OPTION` for attributes that no cookie can have. */
export function affinityOf(settings: ClusterSettings, clock: Clock): StickySession | undefined {
  if (settings.stickyCookie === "") return undefined;
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
  return new StickySession({
    name: settings.stickyCookie,
    codec: codecList(codecs),
    renews: true,
    path: settings.stickyPath,
    secure: settings.stickySecure,
    httpOnly: settings.stickyHttpOnly,
    sameSite: settings.stickySameSite,
    ...(settings.stickyDomain === "" ? {} : { domain: settings.stickyDomain }),
    ...(settings.stickyMaxAgeMs === 0 ? {} : { maxAgeSeconds: Math.floor(settings.stickyMaxAgeMs / 1000) }),
  });
}
