import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { type Clock, sleep } from "../core/clock.js";
import type { Log } from "../core/log.js";
import type { Node } from "../core/node.js";
import type { DialSecurity, DialTarget } from "../core/stream.js";

/** Resolves a host name to address literals, best first; rejects when it has none. */
export type Resolve = (host: string) => Promise<readonly string[]>;

export const systemResolve: Resolve = async (host) =>
  (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address);

export interface AddressBookOptions {
  /** How often names are resolved again. */
  readonly intervalMs: number;
  /** How a node is dialled that is spoken to in TLS; undefined for the others. Default: none is. */
  readonly securityOf?: (node: Node) => DialSecurity | undefined;
}

/** A doubted name is resolved at most this often. */
const DOUBT_INTERVAL_MS = 1000;
const FIRST_ANSWER_MS = 2000;

/**
 * The addresses of the nodes. Names are resolved here, off the request path; the last answer is kept when the
 * resolver fails, so that a resolver that is down takes no node with it.
 */
export class AddressBook {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #resolve: Resolve;
  readonly #intervalMs: number;
  readonly #securityOf: (node: Node) => DialSecurity | undefined;
  readonly #targets: (readonly DialTarget[])[] = [];
  readonly #named: readonly Node[];
  readonly #running = new Map<Node, Promise<void>>();
  readonly #askedMs = new Map<Node, number>();
  readonly #failing = new Set<Node>();

  constructor(
    nodes: readonly Node[],
    clock: Clock,
    log: Log,
    resolve: Resolve,
    { intervalMs, securityOf = () => undefined }: AddressBookOptions,
  ) {
    this.#clock = clock;
    this.#log = log;
    this.#resolve = resolve;
    this.#intervalMs = intervalMs;
    this.#securityOf = securityOf;
    for (const node of nodes) {
      const { index, address } = node;
      if (address.kind === "unix") this.#targets[index] = [{ path: address.path }];
      else this.#targets[index] = isIP(address.host) === 0 ? [] : [this.#target(node, address.host, address.port)];
    }
    this.#named = nodes.filter(({ index }) => this.#targets[index].length === 0);
  }

  readonly targetsOf = (node: Node): readonly DialTarget[] => this.#targets[node.index];

  /** Asks again soon: a dial to this node has failed. */
  readonly doubt = (node: Node): void => {
    if (!this.#named.includes(node)) return;
    if (this.#clock.now() - (this.#askedMs.get(node) ?? Number.NEGATIVE_INFINITY) >= DOUBT_INTERVAL_MS)
      void this.#ask(node);
  };

  /** Resolves once every name has had its first answer, or a short time to get one. */
  async open(signal: AbortSignal): Promise<void> {
    if (this.#named.length === 0) return;
    const timeout = new AbortController();
    const stop = AbortSignal.any([signal, timeout.signal]);
    await Promise.race([
      Promise.all(this.#named.map((node) => this.#ask(node))),
      sleep(this.#clock, FIRST_ANSWER_MS, stop),
    ]);
    timeout.abort();
  }

  /** Resolves every name again and again until the signal ends it. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#named.length === 0 || this.#intervalMs === 0) return;
    while (await sleep(this.#clock, this.#intervalMs, signal))
      await Promise.all(this.#named.map((node) => this.#ask(node)));
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
      if (addresses.length > 0)
        this.#targets[node.index] = addresses.map((host) => this.#target(node, host, address.port));
      if (this.#failing.delete(node)) this.#log.info({ event: "node_name_resolved", node: node.id });
    } catch (error) {
      if (this.#failing.has(node)) return;
      this.#failing.add(node);
      const code = (error as NodeJS.ErrnoException).code ?? "UNKNOWN";
      this.#log.warn({ event: "node_name_unresolved", node: node.id, code });
    }
  }
}
