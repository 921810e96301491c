import type { KeyPart } from "../config/config.js";
import { hashString } from "../core/hash.js";
import { ketamaHash } from "../core/ketama.js";
import { QUESTION, readLatin1, SLASH } from "../http1/chars.js";
import type { RequestHead } from "../http1/request-head.js";

/** The key of a request, its parts joined by a line break; `undefined` when the request has none of them. */
export function readKey(
  parts: readonly KeyPart[],
  head: RequestHead,
  buffer: Buffer,
  clientAddress: string,
): string | undefined {
  let key = "";
  let isAnyThere = false;
  for (let index = 0; index < parts.length; index++) {
    const part = readPart(parts[index], head, buffer, clientAddress);
    if (part !== undefined) isAnyThere = true;
    key += index === 0 ? (part ?? "") : `\n${part ?? ""}`;
  }
  return isAnyThere ? key : undefined;
}

export function readKeyHash(key: string, hash: "fast" | "ketama"): number {
  return hash === "fast" ? hashString(key) : ketamaHash(key);
}

function readPart(part: KeyPart, head: RequestHead, buffer: Buffer, clientAddress: string): string | undefined {
  switch (part.kind) {
    case "path":
      return pathOf(head, buffer);
    case "target":
      return (head.lacksSlash ? "/" : "") + readLatin1(buffer, head.targetStart, head.targetEnd);
    case "prefix":
      return prefixOf(pathOf(head, buffer), part.depth);
    case "query":
      return queryParameter(readLatin1(buffer, head.pathEnd, head.targetEnd), part.name);
    case "header":
      return fieldValue(head, buffer, part.name);
    case "cookie":
      return cookieValue(head, buffer, part.name);
    case "client":
      return clientAddress;
    case "host":
      return head.hostEnd > head.hostStart ? readLatin1(buffer, head.hostStart, head.hostEnd).toLowerCase() : undefined;
    case "method":
      return head.method;
    default: {
      const never: never = part;
      return never;
    }
  }
}

/** The path as received; an empty one of an absolute-form target is `/`. */
export function pathOf(head: RequestHead, buffer: Buffer): string {
  return (head.lacksSlash ? "/" : "") + readLatin1(buffer, head.targetStart, head.pathEnd);
}

/** The first `depth` segments: of `/a/b/c` with depth 2 it is `/a/b`. */
function prefixOf(path: string, depth: number): string {
  let segments = 0;
  for (let at = 0; at < path.length; at++) {
    if (path.charCodeAt(at) === SLASH && segments++ === depth) return path.slice(0, at);
  }
  return path;
}

/** The bytes of a query parameter as received: what is compared is never decoded. */
function queryParameter(query: string, name: string): string | undefined {
  if (query.charCodeAt(0) !== QUESTION) return undefined;
  for (const pair of query.slice(1).split("&")) {
    const equals = pair.indexOf("=");
    if ((equals < 0 ? pair : pair.slice(0, equals)) === name) return equals < 0 ? "" : pair.slice(equals + 1);
  }
  return undefined;
}

function fieldValue(head: RequestHead, buffer: Buffer, name: string): string | undefined {
  const index = head.fields.find(buffer, name.toLowerCase());
  return index < 0 ? undefined : readLatin1(buffer, head.fields.valueStart[index], head.fields.valueEnd[index]);
}

/** The values of all fields of a name, joined; undefined where there is none. */
export function readField(
  { fields }: RequestHead,
  buffer: Buffer,
  lowerName: string,
  separator: string,
): string | undefined {
  let joined: string | undefined;
  for (let index = fields.find(buffer, lowerName); index >= 0; index = fields.find(buffer, lowerName, index + 1)) {
    const value = readLatin1(buffer, fields.valueStart[index], fields.valueEnd[index]);
    joined = joined === undefined ? value : `${joined}${separator}${value}`;
  }
  return joined;
}

function cookieValue(head: RequestHead, buffer: Buffer, name: string): string | undefined {
  const { fields } = head;
  for (let index = fields.find(buffer, "cookie"); index >= 0; index = fields.find(buffer, "cookie", index + 1)) {
    for (const pair of readLatin1(buffer, fields.valueStart[index], fields.valueEnd[index]).split(";")) {
      const equals = pair.indexOf("=");
      if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
    }
  }
  return undefined;
}
