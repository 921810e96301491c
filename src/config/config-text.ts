import { isAlias, isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseDocument, type YAMLMap } from "yaml";
import { FnlbError } from "../errors.js";

/** Where something stands in a file; both from 1, columns in UTF-16 units, as editors count. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/**
 * A configuration as it was written. Every scalar is its text: what `010`, `1e3`, `yes` and `64KiB` mean is for the reader
 * of the option to say, the same for a file, a flag and an environment variable.
 */
export type ConfigNode =
  | { readonly kind: "map"; readonly place: Place; readonly entries: ReadonlyMap<string, ConfigEntry> }
  | { readonly kind: "list"; readonly place: Place; readonly items: readonly ConfigNode[] }
  | { readonly kind: "text"; readonly place: Place; readonly text: string }
  /** Nothing behind a key, `~` or `null`. */
  | { readonly kind: "nothing"; readonly place: Place };

export interface ConfigEntry {
  readonly keyPlace: Place;
  readonly value: ConfigNode;
}

/** Nothing that is written by hand comes near; what is larger is another file, or meant to hurt. */
const CONFIG_CHARS_MAX = 1024 * 1024;
const DEPTH_MAX = 32;
/** Aliases count as what they stand for, each time. */
const NODES_MAX = 200_000;

/** A fault of a configuration file: `fnlb.yaml:3:5: …`. */
export function configFault(file: string, { line, column }: Place, reason: string): FnlbError {
  return new FnlbError("ERR_OPTION", `${file}:${line}:${column}: ${reason}`);
}

/**
 * Reads YAML 1.2, and so JSON. Throws `ERR_OPTION` with the place of the first fault. `file` is for messages. What could be
 * read in two ways is refused: repeated keys, tags, merge keys, a second document, another version of YAML.
 */
export function parseConfigText(text: string, file: string): ConfigNode {
  if (text.length > CONFIG_CHARS_MAX) {
    throw new FnlbError("ERR_OPTION", `${file} must be at most ${CONFIG_CHARS_MAX} characters, got ${text.length}`);
  }
  const lines = new LineCounter();
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    // Without a line break nothing was counted.
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const document = parseDocument(text.replace(/^\uFEFF/, ""), {
    lineCounter: lines,
    prettyErrors: false,
    schema: "failsafe",
    // Compared here instead: the package compares each key with all others.
    uniqueKeys: false,
    logLevel: "error",
  });
  const [error] = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0]);
  if (error !== undefined) {
    const reason = error.code === "MULTIPLE_DOCS" ? "a second document begins here" : error.message;
    throw configFault(file, placeAt(error.pos[0]), reason);
  }
  if (document.directives.yaml.version !== "1.2") {
    throw configFault(file, { line: 1, column: 1 }, `must be YAML 1.2, got ${document.directives.yaml.version}`);
  }
  const reader = new Reader(file, placeAt);
  return document.contents === null
    ? { kind: "nothing", place: { line: 1, column: 1 } }
    : reader.read(document.contents as ParsedNode, 0);
}

class Reader {
  readonly #file: string;
  readonly #placeAt: (offset: number) => Place;
  /** The last node of each anchor so far: aliases look back, never forward. */
  readonly #anchors = new Map<string, ParsedNode>();
  readonly #open = new Set<ParsedNode>();
  #nodes = 0;

  constructor(file: string, placeAt: (offset: number) => Place) {
    this.#file = file;
    this.#placeAt = placeAt;
  }

  read(node: ParsedNode, depth: number): ConfigNode {
    const place = this.#placeAt(node.range[0]);
    if (++this.#nodes > NODES_MAX)
      throw this.#fault(place, `more than ${NODES_MAX} values, aliases counted as what they stand for`);
    if (depth > DEPTH_MAX) throw this.#fault(place, `nested deeper than ${DEPTH_MAX}`);
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source);
      if (target === undefined) throw this.#fault(place, `alias *${node.source} has no anchor before it`);
      if (this.#open.has(target)) throw this.#fault(place, `alias *${node.source} stands inside its own anchor`);
      return this.read(target, depth);
    }
    if (node.tag !== undefined) throw this.#fault(place, `tags such as ${node.tag} have no meaning here`);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    this.#open.add(node);
    const value = this.#readValue(node, place, depth);
    this.#open.delete(node);
    return value;
  }

  #readValue(node: ParsedNode, place: Place, depth: number): ConfigNode {
    if (isMap(node)) return { kind: "map", place, entries: this.#readEntries(node as YAMLMap.Parsed, depth) };
    if (isSeq(node))
      return { kind: "list", place, items: node.items.map((item) => this.read(item as ParsedNode, depth + 1)) };
    if (!isScalar(node)) throw this.#fault(place, "must be a map, a list or a text");
    const text = String(node.value ?? "");
    const isNothing = node.type === "PLAIN" && /^(?:|~|null|Null|NULL)$/.test(text);
    return isNothing ? { kind: "nothing", place } : { kind: "text", place, text };
  }

  #readEntries(map: YAMLMap.Parsed, depth: number): ReadonlyMap<string, ConfigEntry> {
    const entries = new Map<string, ConfigEntry>();
    for (const { key, value } of map.items) {
      const keyPlace = this.#placeAt(key.range[0]);
      const name = this.read(key, depth + 1);
      if (name.kind !== "text") throw this.#fault(keyPlace, "a key must be a text");
      if (name.text === "<<")
        throw this.#fault(keyPlace, "merge keys (<<) are not part of YAML 1.2: repeat what is shared");
      const earlier = entries.get(name.text);
      if (earlier !== undefined) {
        const { line, column } = earlier.keyPlace;
        throw this.#fault(keyPlace, `key ${JSON.stringify(name.text)} is given twice, first in ${line}:${column}`);
      }
      entries.set(name.text, {
        keyPlace,
        value: value === null ? { kind: "nothing", place: keyPlace } : this.read(value, depth + 1),
      });
    }
    return entries;
  }

  #fault(place: Place, reason: string): FnlbError {
    return configFault(this.#file, place, reason);
  }
}
