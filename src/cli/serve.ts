import { type Balancer, createBalancer } from "../balancer.js";
import type { Config } from "../config/config.js";
import type { Log } from "../core/log.js";
import { FnlbError } from "../errors.js";
import { openLogger } from "../system/logger.js";
import { EXIT } from "./exit.js";

/** Runs a balancer until a signal ends it; resolves to the exit code. */
export async function serve(config: Config): Promise<number> {
  const logger = openLogger(config);
  const { log } = logger;
  const balancer = createBalancer(config, { log });
  process.on("SIGHUP", () => {
    balancer.reopenLogs();
    logger.reopen();
    log.info({ event: "logs_reopened" });
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
  const code = await end;
  log.info({ event: "stopped", code });
  await logger.close();
  return code;
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
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
}
