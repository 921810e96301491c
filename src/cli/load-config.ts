import { readFileSync } from "node:fs";
import type { Config } from "../config/config.js";
import { type ConfigFile, parseConfigFile } from "../config/config-file.js";
import { type ConfigSources, resolveConfig } from "../config/resolve.js";
import { FnlbError } from "../errors.js";

/** Where a config comes from: flags, environment, and the path of a file or "". */
export interface ConfigOrigin {
  readonly options: NonNullable<ConfigSources["options"]>;
  readonly env: NonNullable<ConfigSources["env"]>;
  readonly path: string;
}

/** The sources as they are now. Throws `ERR_OPTION` for a file that cannot be read, or not understood. */
export function readSources({ options, env, path }: ConfigOrigin): ConfigSources {
  return { options, env, file: path === "" ? undefined : readConfigFile(path) };
}

/** The config as it is now. Throws `ERR_OPTION`. */
export function loadConfig(origin: ConfigOrigin): Config {
  return resolveConfig(readSources(origin));
}

function readConfigFile(path: string): ConfigFile {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new FnlbError("ERR_OPTION", `option "config" must be a file that can be read, got "${path}" (${code})`, {
      cause: error,
    });
  }
  return parseConfigFile(text, path);
}
