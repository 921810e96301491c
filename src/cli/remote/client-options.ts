/** What shells complete a word with. */
export type Completion = "nodes" | "clusters" | "listeners" | "files" | readonly string[];

/** One option of the commands that ask a running balancer. */
export interface ClientOption {
  readonly group: "Where to ask" | "Options";
  /** "texts" may be given several times. */
  readonly kind: "text" | "texts" | "switch";
  /** One sentence. */
  readonly help: string;
  /** Variable that says the same. */
  readonly environment?: string;
  readonly completes?: Completion;
}

/** Every option of the commands that ask a running balancer. */
export const CLIENT_OPTIONS = {
  server: {
    group: "Where to ask",
    kind: "text",
    environment: "FNLB_SERVER",
    help: "URL of the admin listener of another machine, such as https://lb.example.com:9081; wins over --admin.",
  },
  admin: {
    group: "Where to ask",
    kind: "text",
    environment: "FNLB_ADMIN",
    help: "Address of the admin listener, as the balancer's option of this name. Default: what --config says, else 127.0.0.1:9081.",
  },
  "admin-token": {
    group: "Where to ask",
    kind: "text",
    environment: "FNLB_ADMIN_TOKEN",
    help: "Token of the admin API; others on this machine can see flags, so rather set the variable.",
  },
  config: {
    group: "Where to ask",
    kind: "text",
    environment: "FNLB_CONFIG",
    help: "Config file of the balancer, for the address and the token; route reads the answer out of it and asks nobody.",
    completes: "files",
  },
  ca: {
    group: "Where to ask",
    kind: "text",
    help: "PEM file with the authorities that vouch for the server. Default: the public ones.",
    completes: "files",
  },
  cert: {
    group: "Where to ask",
    kind: "text",
    help: "PEM file with a certificate to show to the server.",
    completes: "files",
  },
  key: {
    group: "Where to ask",
    kind: "text",
    help: "PEM file with its key. Default: it is in the file of the certificate.",
    completes: "files",
  },

  json: { group: "Options", kind: "switch", help: "Print what the admin API answers, as JSON." },
  cluster: {
    group: "Options",
    kind: "text",
    help: "Cluster of the nodes. Default: the only one, or the only one that has the node.",
    completes: "clusters",
  },
  mode: {
    group: "Options",
    kind: "text",
    help: "Mode to begin in: active, draining or disabled. Default: active.",
    completes: ["active", "draining", "disabled"],
  },
  drain: { group: "Options", kind: "switch", help: "Drain first, wait, and then remove." },
  edits: { group: "Options", kind: "switch", help: "Show what operators have said about nodes instead." },
  "no-wait": { group: "Options", kind: "switch", help: "Do not wait until what runs there is done." },
  timeout: {
    group: "Options",
    kind: "text",
    help: "How long to wait at most, such as 30s or 5m; then the exit code is 1. Default: as long as it takes.",
  },
  watch: {
    group: "Options",
    kind: "switch",
    help: "Go on showing it until SIGINT: a live table on a terminal, else lines.",
  },
  interval: { group: "Options", kind: "text", help: "How often with --watch. Default: 1s." },
  nodes: {
    group: "Options",
    kind: "text",
    help: "Nodes of a cluster that is only thought of, as the balancer's option of this name: asks nobody.",
  },
  method: { group: "Options", kind: "text", help: "Method of the request. Default: GET." },
  header: { group: "Options", kind: "texts", help: "Field of the request, as in 'X-User: ann'. May be repeated." },
  client: {
    group: "Options",
    kind: "text",
    help: "Address of the client, for keys and limits by it. Default: 127.0.0.1.",
  },
} as const satisfies Readonly<Record<string, ClientOption>>;

export type ClientOptionName = keyof typeof CLIENT_OPTIONS;

/** Those that say where to ask, which every command has. */
export const PLACE_OPTIONS: readonly ClientOptionName[] = [
  "server",
  "admin",
  "admin-token",
  "config",
  "ca",
  "cert",
  "key",
];

export function clientOption(name: ClientOptionName): ClientOption {
  return CLIENT_OPTIONS[name];
}
