/** Which requests go to which cluster. */
export interface RouteConfig {
  /** Unique among the routes; in errors and in the access log. */
  readonly name: string;
  /** None: any host. `api.example.com`, `*.example.com`, each with an optional port. */
  readonly hosts: readonly string[];
  /** Prefix by whole segments; `/` is any path. */
  readonly path: string;
  /** The path must be equal. */
  readonly isExact: boolean;
  /** None: any method. */
  readonly methods: readonly string[];
  /** All of them must match; without a value the field must be there. */
  readonly headers: readonly { readonly name: string; readonly value: string | undefined }[];
  readonly cluster: string;
  /** Nodes see the path without the prefix. */
  readonly stripsPrefix: boolean;
  /** The path without its last slash is answered with a redirect to the path with it. */
  readonly redirectsSlash: boolean;
}
