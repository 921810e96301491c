import { memoryStore } from "./memory-store.js";
import type { RedisStoreDependencies } from "./redis-store.js";
import type { Store } from "./store.js";

/** The store of a URL (see `--store`), or the process's own memory for "". Nothing is connected before it runs. */
export async function openStore(dependencies: RedisStoreDependencies, url: string): Promise<Store> {
  if (url === "") return memoryStore(dependencies);
  // Its client is large: whoever has one process does not pay for it.
  const { RedisStore } = await import("./redis-store.js");
  return new RedisStore(dependencies, { url });
}
