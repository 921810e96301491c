import { badOption } from "./units.js";
import { type Given, parseCount, TOKEN } from "./value.js";

/** One source of the key; several are joined in order. */
export type KeyPart =
  | { readonly kind: "path" }
  | { readonly kind: "target" }
  | { readonly kind: "prefix"; readonly depth: number }
  | { readonly kind: "query"; readonly name: string }
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "cookie"; readonly name: string }
  | { readonly kind: "client" }
  | { readonly kind: "host" }
  | { readonly kind: "method" };

const KEY_SHAPE =
  "path, target, prefix:N, query:NAME, header:NAME, cookie:NAME, client, host or method, or several joined by commas";
const DEPTH_MAX = 1000;

export function readKeyParts(given: Given): readonly KeyPart[] {
  return given.texts
    .join(",")
    .split(",")
    .map((item) => {
      const part = readKeyPart(item.trim());
      if (part === undefined) throw badOption(given.source, KEY_SHAPE, item.trim());
      return part;
    });
}

function readKeyPart(text: string): KeyPart | undefined {
  const colon = text.indexOf(":");
  const kind = colon < 0 ? text : text.slice(0, colon);
  const name = colon < 0 ? "" : text.slice(colon + 1);
  switch (kind) {
    case "path":
    case "target":
    case "client":
    case "host":
    case "method":
      return colon < 0 ? { kind } : undefined;
    case "prefix": {
      const depth = parseCount(name);
      return depth === undefined || depth < 1 || depth > DEPTH_MAX ? undefined : { kind, depth };
    }
    case "header":
    case "cookie":
      return TOKEN.test(name) ? { kind, name: kind === "header" ? name.toLowerCase() : name } : undefined;
    case "query":
      return /^[\x21-\x7e]+$/.test(name) ? { kind, name } : undefined;
    default:
      return undefined;
  }
}
