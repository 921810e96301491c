import { closeSync, openSync } from "node:fs";
import { pino } from "pino";
import type { Config } from "../config/config.js";
import type { Log } from "../core/log.js";
import { FnlbError } from "../errors.js";

export interface Logger {
  readonly log: Log;
  /** Opens the file again after a rotation. */
  reopen(): void;
  /** Resolves when everything logged so far has been written. */
  flush(): Promise<void>;
}

/** One JSON line per event on standard output or in a file. Throws `ERR_OPTION` when the file cannot be written. */
export function openLogger({ logFile, logLevel }: Pick<Config, "logFile" | "logLevel">): Logger {
  if (logFile !== "-") proveWritable(logFile);
  const destination = pino.destination({ dest: logFile === "-" ? 1 : logFile, sync: false });
  // A log that cannot be written any more, a closed pipe first of all, must not stop traffic.
  destination.on("error", () => {});
  const logger = pino(
    {
      level: logLevel,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
  return {
    log: {
      debug: (fields, message) => logger.debug(fields, message),
      info: (fields, message) => logger.info(fields, message),
      warn: (fields, message) => logger.warn(fields, message),
      error: (fields, message) => logger.error(fields, message),
    },
    reopen() {
      if (logFile !== "-") destination.reopen();
    },
    flush: () => new Promise((resolve) => destination.flush(() => resolve())),
  };
}

function proveWritable(path: string): void {
  try {
    closeSync(openSync(path, "a"));
  } catch (error) {
    throw new FnlbError("ERR_OPTION", `option "log-file" must be a file that can be written: ${String(error)}`, {
      cause: error,
    });
  }
}
