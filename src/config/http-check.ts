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
