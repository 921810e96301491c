/** Where events go: pino in the program, an array in tests. Every call names a stable `event`. */
export interface Log {
  debug(fields: LogFields, message?: string): void;
  info(fields: LogFields, message?: string): void;
  warn(fields: LogFields, message?: string): void;
  error(fields: LogFields, message?: string): void;
}

export type LogFields = { readonly event: string } & Readonly<Record<string, unknown>>;
