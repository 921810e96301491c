import type { RequestHead } from "../http1/request-head.js";
import type { ClusterContext } from "./context.js";
import type { FallbackRoundTripper } from "./fallback-round-tripper.js";
import type { Route } from "./route.js";

/** Where the requests of one route go. */
export interface Destination {
  readonly route: Route;
  readonly context: ClusterContext;
  readonly roundTripper: FallbackRoundTripper;
}

/** The destination of a request, whose head is in `buffer`; undefined where no route matches. */
export type Direct = (head: RequestHead, buffer: Buffer) => Destination | undefined;
