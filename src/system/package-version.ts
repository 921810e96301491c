import { readFileSync } from "node:fs";

/** Version of fnlb, as its package says. */
export function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  // Our own file, which npm does not publish without a version.
  return (JSON.parse(text) as { readonly version: string }).version;
}
