import { parseVersion } from "../core/version.js";
import { badOption } from "./units.js";
import { type Given, single } from "./value.js";

/** Visible ASCII without `#`: neither a blank nor a line end may bring a second field or request into the first. */
const PATH = /^\/[!"$-~]*$/;
const HOST = /^[!-~]*$/;

/** Can a check ask for this? */
export function isCheckPath(text: string): boolean {
  return PATH.test(text);
}

/** Can it stand in the Host field of a check? */
export function isCheckHost(text: string): boolean {
  return HOST.test(text);
}

/** "", or what a check asks for. */
export function readCheckPath(given: Given): string {
  const path = single(given);
  if (path !== "" && !isCheckPath(path)) throw badOption(given.source, "a path from / on without blanks or #", path);
  return path;
}

export function readCheckHost(given: Given): string {
  const host = single(given);
  if (!isCheckHost(host)) throw badOption(given.source, "a host, with or without a port", host);
  return host;
}

/** "", or a version that answers must have at least. */
export function readCheckMinVersion(given: Given): string {
  const version = single(given);
  if (version !== "" && parseVersion(version) === undefined) {
    throw badOption(given.source, "a version of Semantic Versioning 2.0.0 such as 1.2.3", version);
  }
  return version;
}

/** The active HTTP check of one cluster's nodes, complete and checked. */
export interface HttpCheckConfig {
  /** Pause between the end of one check of a node and the start of its next, give or take 20 %. Default 3,000 ms. */
  readonly intervalMs: number;
  /** For everything from the dial to the last byte that is looked at. Default 5,000 ms. */
  readonly timeoutMs: number;
  /** What is asked for, below the base path of each node; begins with `/`, may have a query. */
  readonly path: string;
  /** Default GET; HEAD has no body that could be looked at. */
  readonly method: "GET" | "HEAD";
  /** Host field; "" (the default) sends host and port of each node. */
  readonly host: string;
  /** Statuses that pass, in ranges with both ends included. Default 200 to 299. */
  readonly statuses: readonly (readonly [number, number])[];
  /** Text that the body must contain, in UTF-8; "" (the default) does not look at it. */
  readonly bodyIncludes: string;
  /** Most of a body that is read. Default 64 KiB. */
  readonly bodyBytesMax: number;
  /**
   * Lowest version that passes: the body must be a JSON object whose `version` is one of Semantic Versioning 2.0.0
   * and not below it. "" (the default) does not look at it.
   */
  readonly minVersion: string;
  /** Passed checks in a row that bring a failing node back. Default 1. */
  readonly healthyThreshold: number;
  /** Failed checks in a row that take a passing node out. Default 2. */
  readonly unhealthyThreshold: number;
}
