import type { Registry } from "../core/registry.js";

type OnChange = (registry: Registry) => void;

/** The last that is known of each registry, and who wants to hear of it. */
export class Watchers {
  readonly #known = new Map<string, Registry>();
  readonly #watchers = new Map<string, Set<OnChange>>();

  /** Clusters that somebody watches. */
  get clusters(): readonly string[] {
    return [...this.#watchers.keys()];
  }

  knownOf(cluster: string): Registry | undefined {
    return this.#known.get(cluster);
  }

  /** Tells what is known at once, and what is new until the signal aborts. */
  add(cluster: string, onChange: OnChange, signal: AbortSignal): void {
    if (signal.aborted) return;
    // A function of its own: one who watches twice is told twice.
    const watcher: OnChange = (registry) => onChange(registry);
    const watchers = this.#watchers.get(cluster) ?? new Set();
    this.#watchers.set(cluster, watchers.add(watcher));
    const leave = () => {
      watchers.delete(watcher);
      if (watchers.size === 0) this.#watchers.delete(cluster);
    };
    signal.addEventListener("abort", leave, { once: true });
    const known = this.#known.get(cluster);
    if (known !== undefined) onChange(known);
  }

  /** Once for each version. */
  tell(cluster: string, registry: Registry): void {
    const before = this.#known.get(cluster);
    if (before?.version === registry.version) return;
    this.#known.set(cluster, registry);
    for (const watcher of [...(this.#watchers.get(cluster) ?? [])]) watcher(registry);
  }
}
