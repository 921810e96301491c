/** A version of a registry in a store, see `scripts.ts`: `epoch.counter.stamp`, and `.restored` behind it. */
interface Version {
  readonly epoch: string;
  readonly counter: number;
  readonly isRestored: boolean;
}

function readVersion(text: string): Version | undefined {
  const match = /^(\w+)\.(\d+)\.\w+(\.restored)?$/.exec(text);
  return match === null
    ? undefined
    : { epoch: match[1], counter: Number(match[2]), isRestored: match[3] !== undefined };
}

/** "" for none. */
export function epochOf(version: string): string {
  return readVersion(version)?.epoch ?? "";
}

/**
 * Has a store with this version lost what was known? It has when it is empty, or was begun anew by somebody who knew nothing
 * of it, or was put back by somebody who knew less. Otherwise its word counts, also when it says less than before.
 */
export function isLoss(known: string, stored: string): boolean {
  const before = readVersion(known);
  if (before === undefined) return false;
  const now = readVersion(stored);
  if (now === undefined || now.epoch !== before.epoch) return true;
  return now.isRestored && now.counter < before.counter;
}
