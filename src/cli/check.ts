import { EXIT } from "./exit.js";
import { type ConfigOrigin, loadConfig } from "./load-config.js";
import { printConfig } from "./print-config.js";

/** Validates a config as `serve` would; a bad one is an `ERR_OPTION`. Prints it where that is wished. */
export function check(origin: ConfigOrigin, { prints }: { readonly prints: boolean }): number {
  const { config, sources } = loadConfig(origin);
  const { clusters, routes } = config;
  if (prints) process.stdout.write(printConfig(sources));
  else {
    const counts = `${counted(clusters.length, "cluster")}, ${counted(routes.length, "route")}`;
    process.stdout.write(`${origin.path === "" ? "flags and environment" : origin.path}: ok, ${counts}\n`);
  }
  return EXIT.CLEAN;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
