import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { type Clock, sleep } from "../core/clock.js";
import type { Log } from "../core/log.js";
import type { Node } from "../core/node.js";
import { stopWith } from "../core/stop.js";
import type { DialSecurity, DialTarget } from "../core/stream.js";

/** Resolves a host name to address literals, best first; rejects when it has none. */
export type Resolve = (host: string) => Promise<readonly string[]>;

export const systemResolve: Resolve = async (host) =>
  (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address);

/** Read anew each time. */
export interface AddressBookOptions {
  /** How often names are resolved again; 0 is never. */
  readonly resolveIntervalMs: number;
}

/** How a node is dialled that is spoken to in TLS; undefined for the others. */
export type SecurityOf = (node: Node) => DialSecurity | undefined;

export interface AddressBookDependencies {
  readonly clock: Clock;
  readonly log: Log;
  readonly resolve: Resolve;
  readonly securityOf?: SecurityOf;
}

/** A doubted name is resolved at most this often. */
const DOUBT_INTERVAL_MS = 1000;
const FIRST_ANSWER_MS = 2000;
/** How often it is looked whether names are to be resolved again after all. */
const IDLE_MS = 10_000;

/**
 * The addresses of the nodes. Names are resolved here, off the request path; the last answer is kept when the
 * resolver fails, so that a resolver that is down takes no node with it.
 */
export class AddressBook {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #resolve: Resolve;
  readonly #options: AddressBookOptions;
  readonly #securityOf: SecurityOf;
  readonly #targets = new Map<Node, readonly DialTarget[]>();
  #named: readonly Node[] = [];
  readonly #running = new Map<Node, Promise<void>>();
  readonly #askedMs = new Map<Node, number>();
  readonly #failing = new Set<Node>();

  constructor(dependencies: AddressBookDependencies, options: AddressBookOptions, nodes: readonly Node[]) {
    const { clock, log, resolve, securityOf = () => undefined } = dependencies;
    this.#clock = clock;
    this.#log = log;
    this.#resolve = resolve;
    this.#securityOf = securityOf;
    this.#options = options;
    this.update(nodes);
  }

  /** Other nodes from now on. What is known of those that stay is kept; the names of new ones are asked for. */
  update(nodes: readonly Node[]): void {
    const staying = new Set(nodes);
    for (const node of this.#targets.keys()) if (!staying.has(node)) this.#forget(node);
    const added = nodes.filter((node) => !this.#targets.has(node));
    for (const node of added) this.#targets.set(node, this.#literalTargets(node));
    this.#named = nodes.filter(({ address }) => address.kind === "tcp" && isIP(address.host) === 0);
  }

  #forget(node: Node): void {
    this.#targets.delete(node);
    this.#askedMs.delete(node);
    this.#failing.delete(node);
  }

  readonly targetsOf = (node: Node): readonly DialTarget[] => this.#targets.get(node) ?? [];

  /** Asks again soon: a dial to this node has failed. */
  readonly doubt = (node: Node): void => {
    if (!this.#named.includes(node)) return;
    if (this.#clock.now() - (this.#askedMs.get(node) ?? Number.NEGATIVE_INFINITY) >= DOUBT_INTERVAL_MS)
      void this.#ask(node);
  };

  /** Resolves once the name of each of these has had its first answer, or a short time to get one. Default: all. */
  async open(signal: AbortSignal, nodes: readonly Node[] = this.#named): Promise<void> {
    const awaited = new Set(nodes);
    const unknown = this.#named.filter((node) => awaited.has(node) && this.targetsOf(node).length === 0);
    if (unknown.length === 0) return;
    const stop = stopWith(signal);
    await Promise.race([
      Promise.all(unknown.map((node) => this.#ask(node))),
      sleep(this.#clock, FIRST_ANSWER_MS, stop.signal),
    ]);
    stop.abort();
  }

  /** Resolves every name again and again until the signal ends it. */
  async run(signal: AbortSignal): Promise<void> {
    while (await sleep(this.#clock, this.#options.resolveIntervalMs || IDLE_MS, signal)) {
      if (this.#options.resolveIntervalMs > 0) await Promise.all(this.#named.map((node) => this.#ask(node)));
    }
  }

  #target(node: Node, host: string, port: number): DialTarget {
    const tls = this.#securityOf(node);
    return tls === undefined ? { host, port } : { host, port, tls };
  }

  #ask(node: Node): Promise<void> {
    const running = this.#running.get(node) ?? this.#resolveNow(node).finally(() => this.#running.delete(node));
    this.#running.set(node, running);
    return running;
  }

  async #resolveNow(node: Node): Promise<void> {
    const { address } = node;
    if (address.kind === "unix") return;
    this.#askedMs.set(node, this.#clock.now());
    try {
      const addresses = await this.#resolve(address.host);
      // It may have left meanwhile.
      if (addresses.length > 0 && this.#targets.has(node)) {
        this.#targets.set(
          node,
          addresses.map((host) => this.#target(node, host, address.port)),
        );
      }
      if (this.#failing.delete(node)) this.#log.info({ event: "node_name_resolved", node: node.id });
    } catch (error) {
      // Of one that has left meanwhile nobody would take this back.
      if (this.#failing.has(node) || !this.#targets.has(node)) return;
      this.#failing.add(node);
      const code = (error as NodeJS.ErrnoException).code ?? "UNKNOWN";
      this.#log.warn({ event: "node_name_unresolved", node: node.id, code });
    }
  }

  /** What needs no name looked up. */
  #literalTargets(node: Node): readonly DialTarget[] {
    const { address } = node;
    if (address.kind === "unix") return [{ path: address.path }];
    return isIP(address.host) === 0 ? [] : [this.#target(node, address.host, address.port)];
  }
}
