import { pino } from "pino";
import type { Config } from "../config/config.js";
import type { Log, LogLevel, LogLevelDial } from "../core/log.js";
import { FnlbError } from "../errors.js";
import { LineFile } from "./line-file.js";

export interface Logger extends LogLevelDial {
  readonly log: Log;
  /** Opens the file again after a rotation; the old one is kept when that fails. */
  reopen(): void;
  /** Another level and file, from the next event on. The file must be one that can be written. */
  adopt(config: Pick<Config, "logFile" | "logLevel">): void;
  /** Resolves when everything logged so far has been written, or after a second: a full pipe must not hold up an end. */
  close(): Promise<void>;
}

/** One JSON line per event on standard output or in a file. Throws `ERR_OPTION` when the file cannot be opened. */
export function openLogger({ logFile, logLevel }: Pick<Config, "logFile" | "logLevel">): Logger {
  let dropped = 0;
  // A log that cannot be written any more, a closed pipe or a full disk first of all, must not stop traffic.
  const file = openFile(logFile, (lines) => {
    dropped += lines;
  });
  const logger = pino(
    {
      level: logLevel,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    file,
  );
  const tell = (level: "debug" | "info" | "warn" | "error"): Log[typeof level] => {
    return (fields, message) => {
      if (dropped > 0) {
        logger.warn({ event: "log_lines_dropped", lines: dropped });
        dropped = 0;
      }
      logger[level](fields, message);
    };
  };
  // With a level of its own, which that of the others does not touch.
  const auditor = logger.child({}, { level: "info" });
  const audit: Log["audit"] = (level, fields) => {
    if (logger.level !== "silent") auditor[level](fields);
  };
  const reopen = (path?: string) => {
    try {
      file.reopen(path);
    } catch (error) {
      logger.error({ event: "log_reopen_failed", code: (error as NodeJS.ErrnoException).code });
    }
  };
  return {
    log: { debug: tell("debug"), info: tell("info"), warn: tell("warn"), error: tell("error"), audit },
    get level() {
      // Nobody sets others.
      return logger.level as LogLevel;
    },
    set level(level) {
      logger.level = level;
    },
    reopen,
    adopt(config) {
      logger.level = config.logLevel;
      reopen(config.logFile);
    },
    close: () => file.close(),
  };
}

function openFile(path: string, onDropped: (lines: number) => void): LineFile {
  try {
    return new LineFile(path, { onDropped });
  } catch (error) {
    throw new FnlbError("ERR_OPTION", `option "log-file" must be a file that can be written: ${String(error)}`, {
      cause: error,
    });
  }
}
