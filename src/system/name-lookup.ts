import { promises as dns } from "node:dns";
import type { Lookup } from "../core/lookup.js";

/** What resolvers say of a name that has nothing of the kind: an answer, not a failure. */
const NOTHING = new Set(["ENODATA", "ENOTFOUND"]);
const TIMEOUT_MS = 2000;
const TRIES = 2;

/** Asks the resolvers that the system is configured with, or these (`127.0.0.1:5353`); reads no file of hosts. */
export function systemLookup(servers?: readonly string[]): Lookup {
  const resolver = new dns.Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
  if (servers !== undefined) resolver.setServers(servers);
  return {
    async addresses(name, family) {
      const ask = family === 4 ? resolver.resolve4(name, { ttl: true }) : resolver.resolve6(name, { ttl: true });
      const records = await orNothing(ask);
      return records.map(({ address, ttl }) => ({ address, ttlMs: ttl * 1000 }));
    },
    async services(name) {
      const records = await orNothing(resolver.resolveSrv(name));
      return records.map(({ name: target, ...record }) => ({ target, ...record }));
    },
    close: () => resolver.cancel(),
  };
}

async function orNothing<T>(records: Promise<readonly T[]>): Promise<readonly T[]> {
  try {
    return await records;
  } catch (error) {
    if (NOTHING.has((error as NodeJS.ErrnoException).code ?? "")) return [];
    throw error;
  }
}
