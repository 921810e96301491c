import { adminTls } from "../config/admin.js";
import { Counters } from "../core/counters.js";
import type { Log } from "../core/log.js";
import { systemClock } from "../system/clock.js";
import { Keyring } from "../system/keyring.js";
import { EXIT } from "./exit.js";
import { type ConfigOrigin, loadConfig } from "./load-config.js";
import { printConfig } from "./print-config.js";

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Validates a config as `serve` would, with the certificates that it names; a bad one is an `ERR_OPTION`. Prints it
 * where that is wished.
 */
export async function check(origin: ConfigOrigin, { prints }: { readonly prints: boolean }): Promise<number> {
  const { config, sources } = loadConfig(origin);
  const { clusters, routes, listeners } = config;
  const keyring = new Keyring({ clock: systemClock, log: SILENT, counters: new Counters() });
  await keyring.adopt(
    [...listeners, { tls: adminTls(config) }],
    clusters.flatMap(({ nodes }) => nodes),
  );
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
