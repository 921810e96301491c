// Compiled once, applied per message: the placeholders are found and the bytes around them encoded beforehand.
import type { HeaderRule } from "../core/header-rule.js";
import { shownFieldValue } from "../core/secrets.js";
import { FnlbError } from "../errors.js";
import { copyBytes, TOKEN, VALUE } from "./chars.js";
import { isHost } from "./request-head.js";

type Placeholder = "client" | "host" | "node";

/** Bytes, and the placeholder behind them, if any. */
interface Piece {
  readonly bytes: Buffer;
  readonly placeholder: Placeholder | undefined;
}

/** Header rules as the composers apply them. */
export interface HeaderEdits {
  /** Lower-case names of which no received field is left; those of requests with `-` for `_`. */
  readonly dropped: readonly string[];
  /** The lines that are added. */
  readonly added: readonly Piece[];
  /** The Host line in place of the received one; empty: the node's own. Undefined: Host stays as it came. */
  readonly hostLine: Buffer | undefined;
  readonly placeholderCount: number;
  /** Bytes of `added` and `hostLine`, without what placeholders stand for. */
  readonly literalBytes: number;
}

/** What placeholders stand for in one message, as ASCII. */
export interface PlaceholderValues {
  /** The client's address, "" for a unix socket. */
  readonly client: string;
  /** Of a request: the Host that it came with, or "". */
  readonly host?: string;
  /** Of a response: id of the node that answered. */
  readonly node?: string;
}

export interface HeaderRuleScope {
  readonly message: "request" | "response";
  /** Names, in lower case, of what the balancer itself writes or takes out of these messages as it is configured. */
  readonly reserved?: readonly string[];
}

/** What frames a message or belongs to one hop (RFC 9110 §7.6.1): with these in other hands, two servers disagree where it ends. */
const NEVER: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "http2-settings",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "via",
]);

const PLACEHOLDERS = { request: ["client", "host"], response: ["client", "node"] } as const;

/** A client without an address, as RFC 7239 §6.2 calls it. */
const UNKNOWN = "unknown";

/**
 * Compiles rules, which work in their order; undefined where there are none. Values may hold `{client}` and, in
 * requests, `{host}`, in responses `{node}`; `{{` is a brace. They are sent as UTF-8. Host can be set in requests,
 * to a host or to `{node}`, which is the node's own.
 *
 * Throws `ERR_OPTION` for a name that is no token, for a field that frames a message, belongs to one hop or is
 * `reserved` (an underscore counts as a hyphen: some servers take it for one), for control characters and for
 * unknown placeholders.
 */
export function compileHeaderRules(rules: readonly HeaderRule[], scope: HeaderRuleScope): HeaderEdits | undefined {
  if (rules.length === 0) return undefined;
  const dropped = new Set<string>();
  let lines: { readonly name: string; readonly pieces: readonly Piece[] }[] = [];
  let hostLine: Buffer | undefined;
  for (const rule of rules) {
    checkField(rule, scope);
    const name = scope.message === "request" ? folded(rule.name) : rule.name.toLowerCase();
    if (rule.action !== "add") {
      dropped.add(name);
      lines = lines.filter((line) => line.name !== name);
    }
    if (name === "host") hostLine = hostLineOf(rule, scope);
    else if (rule.action !== "remove") lines.push({ name, pieces: piecesOf(rule, scope) });
  }
  const added = joined(lines.flatMap(({ pieces }) => pieces));
  return {
    dropped: [...dropped],
    added,
    hostLine,
    placeholderCount: added.filter(({ placeholder }) => placeholder !== undefined).length,
    literalBytes: added.reduce((sum, { bytes }) => sum + bytes.length, hostLine?.length ?? 0),
  };
}

/** Is this the name of a field that neither frames a message nor belongs to one hop? `X_Y` counts as `X-Y`. */
export function isEndToEnd(name: string): boolean {
  const plain = folded(name);
  return isToken(name) && !NEVER.has(plain) && !plain.startsWith("proxy-");
}

function folded(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}

function isToken(name: string): boolean {
  return name !== "" && Buffer.from(name).every((byte) => TOKEN[byte] === 1);
}

function checkField({ action, name, value }: HeaderRule, { message, reserved = [] }: HeaderRuleScope): void {
  if (!isToken(name)) throw badRule(message, "for a field name", name);
  const lower = name.toLowerCase();
  if (!isEndToEnd(name) || reserved.includes(lower) || reserved.includes(folded(name))) {
    throw badRule(message, "for a field that fnlb leaves to others", name);
  }
  // The only one of its kind: two of them, or none, are a malformed request.
  if (lower === "host" && (message === "response" || action !== "set")) {
    throw badRule(message, 'for another field, or "set Host" for requests', `${action} ${name}`);
  }
  if (Buffer.from(value).some((byte) => VALUE[byte] === 0)) {
    throw badRule(message, "with a value without control characters", shownFieldValue(name, value));
  }
  if (action === "remove" && value !== "")
    throw badRule(message, "without a value where it removes", shownFieldValue(name, value));
}

/** `message` is that of the scope; `expected` goes on behind "a rule". */
function badRule(message: string, expected: string, got: string): FnlbError {
  return new FnlbError(
    "ERR_OPTION",
    `option "${message}-header" must be a rule ${expected}, got ${JSON.stringify(got)}`,
  );
}

function hostLineOf(rule: HeaderRule, { message }: HeaderRuleScope): Buffer {
  const value = trimmed(rule.value);
  if (value === "{node}") return Buffer.alloc(0);
  const bytes = Buffer.from(value);
  if (!isHost(bytes, 0, bytes.length)) throw badRule(message, "that sets Host to a host or to {node}", rule.value);
  return bytesOf(`${rule.name}: ${value}\r\n`);
}

/** The line of a rule, cut at its placeholders. */
function piecesOf(rule: HeaderRule, { message }: HeaderRuleScope): Piece[] {
  const known: readonly string[] = PLACEHOLDERS[message];
  const pieces: Piece[] = [];
  let text = `${rule.name}: `;
  for (const [token] of trimmed(rule.value).matchAll(/\{\{|\{[^{}]*\}|\{|[^{]+/g)) {
    if (token === "{{") text += "{";
    else if (!token.startsWith("{")) text += token;
    else {
      const placeholder = token.slice(1, -1);
      if (!known.includes(placeholder)) {
        const expected = known.map((name) => `{${name}}`).join(" and ");
        throw badRule(message, `whose placeholders are ${expected} ({{ is a brace)`, shownFieldValue(rule.name, token));
      }
      pieces.push({ bytes: bytesOf(text), placeholder: placeholder as Placeholder });
      text = "";
    }
  }
  pieces.push({ bytes: bytesOf(`${text}\r\n`), placeholder: undefined });
  return pieces;
}

/** As few pieces as there can be: without placeholders one, and its copy is all that a message costs. */
function joined(pieces: readonly Piece[]): Piece[] {
  const result: Piece[] = [];
  let bytes: Buffer[] = [];
  for (const piece of pieces) {
    bytes.push(piece.bytes);
    if (piece.placeholder === undefined) continue;
    result.push({ bytes: Buffer.concat(bytes), placeholder: piece.placeholder });
    bytes = [];
  }
  if (bytes.length > 0) result.push({ bytes: Buffer.concat(bytes), placeholder: undefined });
  return result;
}

function trimmed(value: string): string {
  return value.replace(/^[ \t]+|[ \t]+$/g, "");
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text);
}

/** Upper bound of what `writeAddedLines` writes, in bytes, for placeholder values of up to `valueLength` characters. */
export function addedBytesMax(edits: HeaderEdits, valueLength: number): number {
  return edits.literalBytes + edits.placeholderCount * Math.max(valueLength, UNKNOWN.length);
}

/** Writes the lines that are added into `out` at `position` and returns the position behind them. */
export function writeAddedLines(edits: HeaderEdits, out: Buffer, position: number, values: PlaceholderValues): number {
  const { added } = edits;
  let at = position;
  for (let index = 0; index < added.length; index++) {
    const { bytes, placeholder } = added[index];
    at = copyBytes(out, at, bytes, 0, bytes.length);
    if (placeholder !== undefined) at = writeVisible(out, at, fillInOf(placeholder, values));
  }
  return at;
}

function fillInOf(placeholder: Placeholder, { client, host = "", node = "" }: PlaceholderValues): string {
  switch (placeholder) {
    case "client":
      return client === "" ? UNKNOWN : client;
    case "host":
      return host;
    case "node":
      return node;
    default: {
      const never: never = placeholder;
      return never;
    }
  }
}

/** One byte a character. The path of a unix socket may hold anything, line breaks too. */
function writeVisible(out: Buffer, position: number, text: string): number {
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    out[position + index] = unit >= 0x20 && unit < 0x7f ? unit : 0x3f;
  }
  return position + text.length;
}
