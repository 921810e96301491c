import { readFileSync } from "node:fs";
import { findFault } from "../assembly/prove-config.js";
import type { Config } from "../config/config.js";
import { parseConfigFile } from "../config/config-file.js";
import { type ConfigSources, originOf, resolveConfig } from "../config/resolve.js";
import { FnlbError } from "../errors.js";
import { systemClock } from "../system/clock.js";

/** Where a config comes from: flags, environment, and the path of a file or "". */
export interface ConfigOrigin {
  readonly options: NonNullable<ConfigSources["options"]>;
  readonly env: NonNullable<ConfigSources["env"]>;
  readonly path: string;
}

/** A config, and what it was made from. */
export interface LoadedConfig {
  readonly config: Config;
  readonly sources: ConfigSources;
}

/** The config as it is now, or as the bytes of its file say. Throws `ERR_OPTION`, with the place where it is in a file. */
export function loadConfig({ options, env, path }: ConfigOrigin, bytes?: Buffer): LoadedConfig {
  const file = path === "" ? undefined : parseConfigFile(decode(bytes ?? readConfigBytes(path), path), path);
  const sources = { options, env, file };
  const config = resolveConfig(sources);
  prove(config, sources);
  return { config, sources };
}

/** Throws `ERR_OPTION` when the file cannot be read. */
export function readConfigBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw badFile(`a file that can be read (${code})`, path, error);
  }
}

/** Throws `ERR_OPTION` when the file cannot be read, or is not in UTF-8. */
export function readConfigText(path: string): string {
  return decode(readConfigBytes(path), path);
}

function decode(bytes: Buffer, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw badFile("a file in UTF-8", path, error);
  }
}

function badFile(expected: string, path: string, cause: unknown): FnlbError {
  return new FnlbError("ERR_OPTION", `option "config" must be ${expected}, got ${JSON.stringify(path)}`, { cause });
}

/** What is found only when clusters are made, before that is tried in earnest. */
function prove(config: Config, sources: ConfigSources): void {
  const fault = findFault(config, { clock: systemClock, random: Math.random });
  if (fault === undefined) return;
  const { cluster, option, error } = fault;
  const reason = `cluster "${cluster}": ${error.message}`;
  const place = option === undefined ? "" : `${originOf(option, sources, cluster).place}: `;
  throw new FnlbError(error.code, `${place}${reason}`, { cause: error });
}
