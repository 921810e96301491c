import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from "yaml";
import { FnlbError } from "../errors.js";
import { isClusterOption, isOption, type OptionName } from "./options.js";
import type { Given } from "./value.js";

/** A value of a config file as text, and where it stands. */
export interface FileValue extends Given {
  /** `fnlb.yaml:3`. */
  readonly place: string;
}

/** One item of the list of routes, by key. */
export interface FileRoute extends FileValue {
  readonly entries: ReadonlyMap<RouteKey, FileValue>;
  /** Fields that must match; `undefined` where any value will do. */
  readonly headers: readonly { readonly name: FileValue; readonly value: FileValue | undefined }[];
}

/** A config file whose keys are known and whose values are still text. */
export interface ConfigFile {
  /** As it was given. */
  readonly name: string;
  /** Options of the process, and those of clusters that hold for all of them. */
  readonly options: ReadonlyMap<OptionName, FileValue>;
  /** By name, in the order of the file; empty where none is named. */
  readonly clusters: ReadonlyMap<string, ReadonlyMap<OptionName, FileValue>>;
  readonly routes: readonly FileRoute[];
}

/** What a route of a config file may say. */
export const ROUTE_KEYS = [
  "name",
  "host",
  "path",
  "exact",
  "method",
  "header",
  "cluster",
  "strip-prefix",
  "redirect-slash",
] as const;
export type RouteKey = (typeof ROUTE_KEYS)[number];

const CHARACTERS_MAX = 1024 * 1024;
const CLUSTERS_MAX = 1000;
const ROUTES_MAX = 10_000;
const CLUSTER_NAME = /^[a-z\d](?:[\w.-]{0,62})$/i;

/**
 * Reads a config file in YAML 1.2, of which JSON is a part: options by their names, `clusters` by name with the
 * options of each, and a list of `routes`. Throws `ERR_OPTION` with file, line, column, key and what was expected.
 */
export function parseConfigFile(text: string, name: string): ConfigFile {
  if (text.length > CHARACTERS_MAX)
    throw new FnlbError("ERR_OPTION", `${name}: is longer than ${CHARACTERS_MAX} characters`);
  return new ConfigFileReader(text, name).read();
}

class ConfigFileReader {
  readonly #name: string;
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed;

  constructor(text: string, name: string) {
    this.#name = name;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, uniqueKeys: true });
    const [error] = [...this.#document.errors, ...this.#document.warnings];
    if (error !== undefined) throw this.#bad(error.pos[0], `is not YAML: ${error.message}`);
  }

  read(): ConfigFile {
    const options = new Map<OptionName, FileValue>();
    const clusters = new Map<string, ReadonlyMap<OptionName, FileValue>>();
    const routes: FileRoute[] = [];
    const { contents } = this.#document;
    // An empty file says nothing, which is allowed.
    if (contents === null || (isScalar(contents) && contents.value === null)) {
      return { name: this.#name, options, clusters, routes };
    }
    for (const { key, at, value } of this.#entries(contents, "the file")) {
      if (key === "clusters") this.#readClusters(value, clusters);
      else if (key === "routes") this.#readRoutes(value, routes);
      else if (isOption(key)) options.set(key, this.#value(value, `option "${key}"`));
      else throw this.#bad(at, `has no option "${key}"${nearest(key)}`);
    }
    return { name: this.#name, options, clusters, routes };
  }

  #readClusters(node: Node, clusters: Map<string, ReadonlyMap<OptionName, FileValue>>): void {
    for (const { key, at, value } of this.#entries(node, '"clusters"')) {
      if (!CLUSTER_NAME.test(key)) {
        throw this.#bad(at, `name of a cluster must be letters, digits, dots, dashes and underscores, got "${key}"`);
      }
      if (clusters.size === CLUSTERS_MAX) throw this.#bad(at, `"clusters" must be at most ${CLUSTERS_MAX}`);
      const options = new Map<OptionName, FileValue>();
      for (const entry of this.#entries(value, `cluster "${key}"`)) {
        if (!isClusterOption(entry.key)) {
          const why = isOption(entry.key) ? `: "${entry.key}" is an option of the whole process` : nearest(entry.key);
          throw this.#bad(entry.at, `cluster "${key}" has no option "${entry.key}"${why}`);
        }
        options.set(entry.key, this.#value(entry.value, `option "${entry.key}" of cluster "${key}"`));
      }
      clusters.set(key, options);
    }
  }

  #readRoutes(node: Node, routes: FileRoute[]): void {
    if (!isSeq(node)) throw this.#bad(positionOf(node), '"routes" must be a list');
    for (const item of node.items) {
      const route = this.#resolve(item as Node);
      const at = positionOf(route);
      const what = `route ${routes.length + 1}`;
      if (routes.length === ROUTES_MAX) throw this.#bad(at, `"routes" must be at most ${ROUTES_MAX}`);
      const entries = new Map<RouteKey, FileValue>();
      let headers: FileRoute["headers"] = [];
      for (const { key, at: keyAt, value } of this.#entries(route, what)) {
        const known = ROUTE_KEYS.find((candidate) => candidate === key);
        if (known === undefined) throw this.#bad(keyAt, `${what} has no "${key}": it has ${ROUTE_KEYS.join(", ")}`);
        if (known === "header") headers = this.#readHeaders(value, what);
        else entries.set(known, this.#value(value, `"${key}" of ${what}`));
      }
      routes.push({ texts: [""], source: `${this.#at(at)}: ${what}`, place: this.#place(at), entries, headers });
    }
  }

  #readHeaders(node: Node, what: string): FileRoute["headers"] {
    return this.#entries(node, `"header" of ${what}`).map(({ key, at, value }) => {
      const name = { texts: [key], source: `${this.#at(at)}: "header" of ${what}`, place: this.#place(at) };
      const isAny = isScalar(value) && value.value === null;
      return { name, value: isAny ? undefined : this.#value(value, `"header" of ${what}`) };
    });
  }

  /** The entries of a mapping whose keys are plain text. */
  #entries(given: Node, what: string): { key: string; at: number; value: Node }[] {
    const node = this.#resolve(given);
    if (!isMap(node)) throw this.#bad(positionOf(node), `${what} must be a mapping of keys to values`);
    return node.items.map(({ key, value }: Pair) => {
      if (!isScalar(key) || typeof key.value !== "string") {
        throw this.#bad(positionOf(key as Node), `${what} must have keys that are text`);
      }
      const at = positionOf(key);
      // `key:` with nothing behind it is null, and what lacks a value altogether too.
      if (value === null) throw this.#bad(at, `"${key.value}" must have a value`);
      return { key: key.value, at, value: this.#resolve(value as Node) };
    });
  }

  #resolve(node: Node): Node {
    if (!isAlias(node)) return node;
    const target = node.resolve(this.#document);
    if (target === undefined) throw this.#bad(positionOf(node), `has no anchor "${node.source}"`);
    return target;
  }

  /** A scalar, or a list of scalars: nothing nests deeper, so no alias can make much of little. */
  #value(given: Node, what: string): FileValue {
    const node = this.#resolve(given);
    const at = positionOf(node);
    const texts = isSeq(node) ? node.items.map((item) => this.#text(item as Node, what)) : [this.#text(node, what)];
    if (texts.length === 0) throw this.#bad(at, `${what} must have an item or more`);
    return { texts, source: `${this.#at(at)}: ${what}`, place: this.#place(at) };
  }

  #text(given: Node, what: string): string {
    const node = this.#resolve(given);
    if (!isScalar(node) || node.value === null || typeof node.value === "object") {
      throw this.#bad(positionOf(node), `${what} must be text, a number, true or false, or a list of them`);
    }
    // A number is read as it was written: 1e3 and 0x10 are no way to write one here.
    return typeof node.value === "string" ? node.value : (node.source ?? String(node.value));
  }

  #bad(at: number, message: string): FnlbError {
    return new FnlbError("ERR_OPTION", `${this.#at(at)}: ${message}`);
  }

  #at(offset: number): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.#name}:${line}:${col}`;
  }

  #place(offset: number): string {
    return `${this.#name}:${this.#lines.linePos(offset).line}`;
  }
}

function positionOf(node: Node | null): number {
  return node?.range?.[0] ?? 0;
}

/** Camel case, underscores or a wrong unit are how keys are mistyped most. */
function nearest(key: string): string {
  const dashed = key
    .replaceAll(/([a-z])([A-Z])/g, "$1-$2")
    .replaceAll("_", "-")
    .toLowerCase()
    .replace(/-(?:ms|max|bytes-max)$/, "");
  return isOption(dashed) && dashed !== key ? `, but "${dashed}"` : "";
}
