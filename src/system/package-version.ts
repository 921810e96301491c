import { createRequire } from "node:module";

/** Version of fnlb, as its package says, wherever in it this was compiled to. */
export function packageVersion(): string {
  // Our own file, which npm does not publish without a version.
  return (createRequire(import.meta.url)("fnlb/package.json") as { readonly version: string }).version;
}
