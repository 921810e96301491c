import { createBalancer } from "../balancer.js";
import type { Config } from "../config/config.js";
import { FnlbError } from "../errors.js";
import { openLogger } from "../system/logger.js";
import { EXIT } from "./exit.js";

/** Runs a balancer until a signal ends it; resolves to the exit code. */
export async function serve(config: Config): Promise<number> {
  const logger = openLogger(config);
  const { log } = logger;
  const balancer = createBalancer(config, { log });
  try {
    await balancer.listen();
  } catch (error) {
    await logger.flush();
    if (error instanceof FnlbError && error.code === "ERR_OPTION") throw error;
    process.stderr.write(`could not start server. error: ${error instanceof Error ? error.message : String(error)}\n`);
    return EXIT.CANNOT_START;
  }

  process.on("SIGHUP", () => {
    balancer.reopenLogs();
    logger.reopen();
    log.info({ event: "logs_reopened" });
  });

  const code = await new Promise<number>((resolve) => {
    let signals = 0;
    const onSignal = (signal: NodeJS.Signals) => {
      log.info({ event: "signal", signal });
      if (++signals === 1) {
        void balancer.drain().then(({ cut }) => resolve(cut > 0 ? EXIT.CUT : EXIT.CLEAN));
        return;
      }
      // Whoever asks twice does not want to wait.
      void balancer.close().then(() => resolve(EXIT.CUT));
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
  log.info({ event: "stopped", code });
  await logger.flush();
  return code;
}
