/** Where events go: pino in the program, an array in tests. Every call names a stable `event`. */
export interface Log {
  debug(fields: LogFields, message?: string): void;
  info(fields: LogFields, message?: string): void;
  warn(fields: LogFields, message?: string): void;
  error(fields: LogFields, message?: string): void;
  /**
   * What must be known afterwards, whatever else is logged: who has changed what. Default: `info` and `warn`, and then it
   * is gone with their levels.
   */
  audit?(level: "info" | "warn", fields: LogFields): void;
}

/** Into the audit trail of a log, or as any other event where it has none. */
export function audit(log: Log, level: "info" | "warn", fields: LogFields): void {
  if (log.audit === undefined) log[level](fields);
  else log.audit(level, fields);
}

export type LogFields = { readonly event: string } & Readonly<Record<string, unknown>>;

/** From the most talkative to none at all. */
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** Events below this level are not logged; another one holds from the next event on. */
export interface LogLevelDial {
  level: LogLevel;
}
