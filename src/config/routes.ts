/** A field that a request must have for a route. */
export interface HeaderCondition {
  /** Any case. Not Host: that is what `hosts` is for. */
  readonly name: string;
  /** One of the fields of that name must be exactly this, byte by byte; undefined: the name is enough. */
  readonly value: string | undefined;
}

/** Which requests go to a cluster. All conditions must hold; `checkRoutes` says what is wrong with a list of these. */
export interface RouteConfig {
  /** Unique; in the access log and in errors. Default: `route-3` for the third of the list. */
  readonly name: string;
  /**
   * Any of these; none stands for every request, also one without a host. `api.example.com`, or `*.example.com` for
   * every name below it, however deep, but not for itself; with `:8080` the port must be the same, too, as the client
   * sent it.
   */
  readonly hosts: readonly string[];
  /**
   * A prefix of whole segments: `/api` stands for `/api`, `/api/` and `/api/x`, never for `/apix`; `/api/` only for
   * what is below it; `/` for everything. Compared with the bytes as received.
   */
  readonly path: string;
  /** The path must be equal. */
  readonly isExact: boolean;
  /** Any of these; none stands for every method. GET does not include HEAD. */
  readonly methods: readonly string[];
  /** All of these. */
  readonly headers: readonly HeaderCondition[];
  readonly cluster: string;
  /** The node sees the path without `path`, and never without a slash in front. */
  readonly stripsPrefix: boolean;
  /** GET and HEAD of `path` itself are sent on to `path` and a slash, with their query, so that relative links work. */
  readonly redirectsSlash: boolean;
}
