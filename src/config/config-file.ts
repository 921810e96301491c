import type { FnlbError } from "../errors.js";
import type { RouteKey } from "./check-routes.js";
import { type ConfigNode, configFault, type Place, parseConfigText } from "./config-text.js";
import { isClusterOption, isOption, OPTIONS, type OptionName } from "./options.js";
import type { Given, ValueSpec } from "./value.js";

/** A value of a config file as text, and where it stands. */
export interface FileValue extends Given {
  /** `fnlb.yaml:3:5`. */
  readonly place: string;
}

/** One item of the list of routes, by key. */
export interface FileRoute extends FileValue {
  readonly entries: ReadonlyMap<RouteKey, FileValue>;
  /** Fields that must match; `undefined` where any value will do. */
  readonly headers: readonly { readonly name: string; readonly value: FileValue | undefined }[];
  /** How errors name each key that it has. */
  readonly sources: ReadonlyMap<RouteKey, string>;
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

/** What a route of a config file may say, and whether that may be a list. */
const TAKES_LIST: Readonly<Record<RouteKey, boolean>> = {
  name: false,
  host: true,
  path: false,
  exact: false,
  method: true,
  header: false,
  cluster: false,
  "strip-prefix": false,
  "redirect-slash": false,
};
export const ROUTE_KEYS = Object.keys(TAKES_LIST) as readonly RouteKey[];

/** A cluster's name: letters and digits first, then dots, dashes and underscores as well. */
export const CLUSTER_NAME = "^[A-Za-z\\d][\\w.-]{0,62}$";
const CLUSTERS_MAX = 1000;
const ROUTES_MAX = 10_000;

/**
 * Reads a config file in YAML 1.2, of which JSON is a part: options by their names, `clusters` by name with the
 * options of each, and a list of `routes`; `$schema` is for editors. Throws `ERR_OPTION` with file, line, column, key
 * and what was expected.
 */
export function parseConfigFile(text: string, name: string): ConfigFile {
  return new ConfigFileReader(name).read(parseConfigText(text, name));
}

/** May the option be a list of texts in a config file? */
export function takesList({ kind, isRepeatable }: Pick<ValueSpec<unknown>, "kind" | "isRepeatable">): boolean {
  return kind === "list" || isRepeatable === true;
}

class ConfigFileReader {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  read(root: ConfigNode): ConfigFile {
    const options = new Map<OptionName, FileValue>();
    let clusters: ConfigFile["clusters"] = new Map();
    let routes: readonly FileRoute[] = [];
    let clustersPlace = root.place;
    // An empty file says nothing, which is allowed.
    const entries = root.kind === "nothing" ? [] : this.#entries(root, "the file");
    for (const [key, { keyPlace, value }] of entries) {
      if (key === "clusters") {
        clusters = this.#readClusters(value);
        clustersPlace = keyPlace;
      } else if (key === "routes") routes = this.#readRoutes(value);
      else if (key === "$schema") this.#value(value, `"${key}"`, false);
      else if (isOption(key)) options.set(key, this.#option(key, value, ""));
      else throw this.#bad(keyPlace, `has no option ${JSON.stringify(key)}${nearest(key)}`);
    }
    if (clusters.size > 1 && routes.length === 0) {
      throw this.#bad(clustersPlace, '"routes" must be given where there are several clusters');
    }
    return { name: this.#name, options, clusters, routes };
  }

  #readClusters(node: ConfigNode): ConfigFile["clusters"] {
    const clusters = new Map<string, ReadonlyMap<OptionName, FileValue>>();
    const nameShape = new RegExp(CLUSTER_NAME);
    const entries = this.#entries(node, '"clusters"');
    for (const [name, { keyPlace, value }] of entries) {
      if (!nameShape.test(name)) {
        const shape = "1 to 63 letters, digits, dots, dashes and underscores, a letter or digit first";
        throw this.#bad(keyPlace, `the name of a cluster must be ${shape}, got ${JSON.stringify(name)}`);
      }
      if (clusters.size === CLUSTERS_MAX) throw this.#bad(keyPlace, `"clusters" must be at most ${CLUSTERS_MAX}`);
      const options = this.#readCluster(value, name);
      // The default is meant for whoever names nothing at all: here a key was forgotten.
      if (entries.size > 1 && !options.has("nodes")) {
        throw this.#bad(keyPlace, `cluster "${name}" must have "nodes" where there are several clusters`);
      }
      clusters.set(name, options);
    }
    return clusters;
  }

  #readCluster(node: ConfigNode, cluster: string): ReadonlyMap<OptionName, FileValue> {
    const options = new Map<OptionName, FileValue>();
    for (const [key, { keyPlace, value }] of this.#entries(node, `cluster "${cluster}"`)) {
      if (!isClusterOption(key)) {
        const why = isOption(key) ? `: "${key}" is an option of the whole process` : nearest(key);
        throw this.#bad(keyPlace, `cluster "${cluster}" has no option ${JSON.stringify(key)}${why}`);
      }
      options.set(key, this.#option(key, value, ` of cluster "${cluster}"`));
    }
    return options;
  }

  #readRoutes(node: ConfigNode): readonly FileRoute[] {
    if (node.kind !== "list") throw this.#bad(node.place, `"routes" must be a list, got ${KINDS[node.kind]}`);
    const tooMany = node.items[ROUTES_MAX];
    if (tooMany !== undefined) throw this.#bad(tooMany.place, `"routes" must be at most ${ROUTES_MAX}`);
    return node.items.map((item, index) => this.#readRoute(item, `route ${index + 1}`));
  }

  #readRoute(node: ConfigNode, what: string): FileRoute {
    const entries = new Map<RouteKey, FileValue>();
    const sources = new Map<RouteKey, string>();
    let headers: FileRoute["headers"] = [];
    for (const [name, { keyPlace, value }] of this.#entries(node, what)) {
      const key = ROUTE_KEYS.find((known) => known === name);
      if (key === undefined)
        throw this.#bad(keyPlace, `${what} has no ${JSON.stringify(name)}: it has ${ROUTE_KEYS.join(", ")}`);
      sources.set(key, `${this.#at(value.place)}: "${key}" of ${what}`);
      if (key === "header") headers = this.#readHeaders(value, what);
      else entries.set(key, this.#value(value, `"${key}" of ${what}`, TAKES_LIST[key]));
    }
    return { texts: [""], ...this.#placing(node.place, what), entries, headers, sources };
  }

  #readHeaders(node: ConfigNode, what: string): FileRoute["headers"] {
    return [...this.#entries(node, `"header" of ${what}`)].map(([name, { value }]) => ({
      name,
      value: value.kind === "nothing" ? undefined : this.#value(value, `"header" of ${what}`, false),
    }));
  }

  #entries(node: ConfigNode, what: string) {
    if (node.kind === "map") return node.entries;
    throw this.#bad(node.place, `${what} must be a map of keys to values, got ${KINDS[node.kind]}`);
  }

  #option(name: OptionName, node: ConfigNode, whose: string): FileValue {
    return this.#value(node, `option "${name}"${whose}`, takesList(OPTIONS[name]));
  }

  /** A text, or a list of texts; an empty list is an empty text. */
  #value(node: ConfigNode, what: string, takesItems: boolean): FileValue {
    const isItems = node.kind === "list" && takesItems;
    const texts = (isItems ? node.items : [node]).map((item) => {
      if (item.kind === "text") return item.text;
      const shape = takesItems
        ? "a text, a number, true or false, or a list of them"
        : "a text, a number, true or false";
      throw this.#bad(item.place, `${what} must be ${shape}, got ${KINDS[item.kind]}`);
    });
    return { texts: texts.length === 0 ? [""] : texts, ...this.#placing(node.place, what) };
  }

  #placing(place: Place, what: string): { readonly source: string; readonly place: string } {
    const at = this.#at(place);
    return { source: `${at}: ${what}`, place: at };
  }

  #bad(place: Place, reason: string): FnlbError {
    return configFault(this.#name, place, reason);
  }

  #at({ line, column }: Place): string {
    return `${this.#name}:${line}:${column}`;
  }
}

const KINDS: Readonly<Record<ConfigNode["kind"], string>> = {
  map: "a map",
  list: "a list",
  text: "a text",
  nothing: "nothing",
};

/** Camel case, underscores or a wrong unit are how keys are mistyped most. */
function nearest(key: string): string {
  const dashed = key
    .replaceAll(/([a-z])([A-Z])/g, "$1-$2")
    .replaceAll("_", "-")
    .toLowerCase()
    .replace(/-(?:ms|max|bytes-max)$/, "");
  return isOption(dashed) && dashed !== key ? `, but "${dashed}"` : "";
}
