import { closeSync, openSync } from "node:fs";
import { type Balancer, createBalancer } from "../balancer.js";
import type { Config } from "../config/config.js";
import type { OptionName } from "../config/options.js";
import { originOf } from "../config/resolve.js";
import type { Log } from "../core/log.js";
import { FnlbError } from "../errors.js";
import { systemClock } from "../system/clock.js";
import { type Logger, openLogger } from "../system/logger.js";
import { runConfigWatch } from "./config-watch.js";
import { EXIT } from "./exit.js";
import { type ConfigOrigin, type LoadedConfig, loadConfig, readConfigBytes } from "./load-config.js";

const WATCH_INTERVAL_MS = 500;

/** Runs a balancer until a signal ends it; resolves to the exit code. */
export async function serve(origin: ConfigOrigin, { watches }: { readonly watches: boolean }): Promise<number> {
  const file = new WatchedFile(origin.path);
  const loaded = loadConfig(origin, file.read());
  const { config } = loaded;
  const logger = openLogger(config);
  const { log } = logger;
  const inForce = { loaded };
  const placeOf = (name: OptionName, cluster?: string) => originOf(name, inForce.loaded.sources, cluster).place;
  const balancer = createBalancer(config, { log, logLevel: logger, placeOf });
  const reload = reloader(origin, file, balancer, logger, inForce);
  process.on("SIGHUP", () => {
    balancer.reopenLogs();
    logger.reopen();
    log.info({ event: "logs_reopened" });
    void balancer.reloadCertificates();
    if (origin.path !== "") void listening.then(reload, () => {});
  });
  const end = untilSignal(balancer, () => listening, log);
  const listening = balancer.listen();
  try {
    await listening;
  } catch (error) {
    await logger.close();
    if (error instanceof FnlbError && error.code === "ERR_OPTION") throw error;
    process.stderr.write(`could not start server. error: ${error instanceof Error ? error.message : String(error)}\n`);
    return EXIT.CANNOT_START;
  }
  const stop = new AbortController();
  const watching = watches
    ? runConfigWatch(
        { clock: systemClock, read: () => file.look(), lastTried: () => file.lastRead, onChange: reload },
        { intervalMs: WATCH_INTERVAL_MS },
        stop.signal,
      )
    : undefined;
  const code = await end;
  stop.abort();
  await watching;
  log.info({ event: "stopped", code });
  await logger.close();
  return code;
}

/** Takes the config over as it is now; a bad one changes nothing and says why. */
function reloader(
  origin: ConfigOrigin,
  file: WatchedFile,
  balancer: Balancer,
  logger: Logger,
  inForce: { loaded: LoadedConfig },
): () => Promise<void> {
  return async () => {
    try {
      let { loaded } = inForce;
      await balancer.reload(() => {
        loaded = loadConfig(origin, file.read());
        proveLogFile(loaded.config);
        return loaded.config;
      });
      inForce.loaded = loaded;
      logger.adopt(loaded.config);
    } catch (error) {
      if (!(error instanceof FnlbError)) throw error;
      logger.log.error({ event: "reload_failed", code: error.code }, error.message);
    }
  };
}

/** Before anything else is changed. */
function proveLogFile({ logFile }: Config): void {
  if (logFile === "-") return;
  try {
    closeSync(openSync(logFile, "a"));
  } catch (error) {
    throw new FnlbError("ERR_OPTION", `option "log-file" must be a file that can be written: ${String(error)}`, {
      cause: error,
    });
  }
}

/** The config file, if there is one, and what it was when it was last taken seriously. */
class WatchedFile {
  readonly #path: string;
  /** One character a byte. */
  lastRead: string | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** To be loaded. Throws `ERR_OPTION`. */
  read(): Buffer | undefined {
    if (this.#path === "") return undefined;
    const bytes = readConfigBytes(this.#path);
    this.lastRead = bytes.toString("latin1");
    return bytes;
  }

  /** To be compared. */
  look(): string | undefined {
    try {
      return readConfigBytes(this.#path).toString("latin1");
    } catch {
      // Between the removal of a file and its replacement there is none: the next look decides.
      return undefined;
    }
  }
}

/**
 * Resolves to the exit code once a signal has ended the balancer: the first one drains, the second ends at once.
 * Called before the balancer listens, for process 1 of a container obeys no signal that nobody waits for.
 */
function untilSignal(balancer: Balancer, listening: () => Promise<unknown>, log: Log): Promise<number> {
  return new Promise((resolve, reject) => {
    let signals = 0;
    const onSignal = (signal: NodeJS.Signals) => {
      log.info({ event: "signal", signal });
      if (++signals === 1) {
        const drained = listening().then(() => balancer.drain());
        drained.then(({ cut }) => resolve(cut > 0 ? EXIT.CUT : EXIT.CLEAN), reject);
        return;
      }
      // Whoever asks twice does not want to wait.
      balancer.close().then(() => resolve(EXIT.CUT), reject);
    };
    for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) process.on(signal, onSignal);
  });
}
