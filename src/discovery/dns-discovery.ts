import { isIP } from "node:net";
import type { DiscoveryConfig } from "../config/discovery.js";
import { type NodeConfig, tcpNode } from "../config/node-address.js";
import type { AddressFamily, AddressRecord, Lookup, OpenLookup, ServiceRecord } from "../core/lookup.js";
import type { Discovery, DiscoveryAnswer } from "./discovery.js";
import { chosenServices, type WeightedService } from "./service-places.js";

export interface DnsDiscoveryDependencies {
  readonly openLookup: OpenLookup;
}

export type DnsDiscoveryOptions = Extract<DiscoveryConfig, { readonly kind: "dns" | "srv" }>;

/** Targets of a service whose addresses are asked for at once: a thousand questions in one burst get lost. */
const TARGETS_AT_ONCE = 32;
/** Priorities of a service that are tried for one with addresses. */
const PRIORITIES_MAX = 8;

/** What is known of the addresses of one name. */
interface Resolved {
  readonly addresses: readonly string[];
  /** Until the first of them expires; Infinity without any. */
  readonly ttlMs: number;
  readonly fault: string | undefined;
}

/**
 * Nodes from DNS: every address of a name, or of the targets of a service. A question that nobody answers is held to
 * have the answer it had last, so that a resolver that fails takes no node away; one that is answered with "no such
 * name" or "no such record" has none.
 */
export function dnsDiscovery({ openLookup }: DnsDiscoveryDependencies, options: DnsDiscoveryOptions): Discovery {
  const { name, kind, families, node } = options;
  /** The last answers, by question; those of targets that are gone are forgotten. */
  let known: ReadonlyMap<string, readonly AddressRecord[]> = new Map();

  /** One round of questions. */
  async function ask(lookup: Lookup): Promise<DiscoveryAnswer> {
    const heard = new Map<string, readonly AddressRecord[]>();

    async function recordsOf(host: string, family: AddressFamily) {
      const question = `${family === 4 ? "A" : "AAAA"} ${host}`;
      let fault: string | undefined;
      try {
        heard.set(question, await lookup.addresses(host, family));
      } catch (error) {
        fault = `${question}: ${codeOf(error)}`;
        const last = known.get(question);
        if (last !== undefined) heard.set(question, last);
      }
      return { records: heard.get(question) ?? [], fault };
    }

    async function resolve(host: string): Promise<Resolved> {
      const literal = isIP(host);
      if (literal !== 0) return { addresses: [host], ttlMs: Number.POSITIVE_INFINITY, fault: undefined };
      const answers = await Promise.all(families.map((family) => recordsOf(host, family)));
      const fresh = answers.filter(({ fault }) => fault === undefined).flatMap(({ records }) => records);
      return {
        addresses: answers.flatMap(({ records }) => records.map(({ address }) => address)),
        ttlMs: Math.min(...fresh.map(({ ttlMs }) => ttlMs)),
        fault: answers.find(({ fault }) => fault !== undefined)?.fault,
      };
    }

    const answer = kind === "dns" ? await findByName(resolve) : await findByService(lookup, resolve);
    if (answer.nodes !== undefined) known = heard;
    return answer;
  }

  async function findByName(resolve: (host: string) => Promise<Resolved>): Promise<DiscoveryAnswer> {
    const { host, port } = node.address;
    const found = await resolve(host);
    return together(
      [found],
      found.addresses.map((address) => nodeAt(address, port, node.weight)),
    );
  }

  async function findByService(lookup: Lookup, resolve: (host: string) => Promise<Resolved>): Promise<DiscoveryAnswer> {
    let records: readonly ServiceRecord[];
    try {
      records = await lookup.services(node.address.host);
    } catch (error) {
      return failed(`SRV ${node.address.host}: ${codeOf(error)}`);
    }
    let answer: DiscoveryAnswer = { nodes: [], validMs: undefined, fault: undefined };
    for (const services of chosenServices(records).slice(0, PRIORITIES_MAX)) {
      answer = await findOfPriority(services, resolve);
      // Others are for when these are gone, not for when nobody says where these are.
      if (answer.nodes === undefined || answer.nodes.length > 0 || answer.fault !== undefined) return answer;
    }
    return answer;
  }

  async function findOfPriority(
    services: readonly WeightedService[],
    resolve: (host: string) => Promise<Resolved>,
  ): Promise<DiscoveryAnswer> {
    const targets = [...new Set(services.map(({ target }) => target))];
    const resolved = new Map<string, Resolved>();
    for (let start = 0; start < targets.length; start += TARGETS_AT_ONCE) {
      const some = targets.slice(start, start + TARGETS_AT_ONCE);
      const answers = await Promise.all(some.map(resolve));
      for (const [index, target] of some.entries()) resolved.set(target, answers[index]);
    }
    const nodes = services.flatMap(({ target, port, weight }) =>
      (resolved.get(target)?.addresses ?? []).map((address) => nodeAt(address, port, weight)),
    );
    return together([...resolved.values()], nodes);
  }

  /** An empty answer is one only if every question was answered. */
  function together(resolved: readonly Resolved[], nodes: readonly NodeConfig[]): DiscoveryAnswer {
    const fault = resolved.find((one) => one.fault !== undefined)?.fault;
    if (fault !== undefined && nodes.length === 0) return failed(fault);
    const ttlMs = Math.min(...resolved.map((one) => one.ttlMs));
    // Nobody said how long: nothing there, all literals, or nothing but what was known before.
    return { nodes, validMs: Number.isFinite(ttlMs) ? ttlMs : undefined, fault };
  }

  function nodeAt(host: string, port: number, weight: number): NodeConfig {
    return tcpNode({ ...node.address, host, port }, weight);
  }

  return {
    name,
    async find(signal) {
      // Opened anew each time: the resolvers of a machine change, and an answer of a cache would come without its age.
      const lookup = openLookup();
      const onAbort = () => lookup.close();
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        return await ask(lookup);
      } finally {
        signal.removeEventListener("abort", onAbort);
        lookup.close();
      }
    },
  };
}

function failed(fault: string): DiscoveryAnswer {
  return { nodes: undefined, validMs: undefined, fault };
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "UNKNOWN";
}
