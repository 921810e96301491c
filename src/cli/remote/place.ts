import { parseConfigFile } from "../../config/config-file.js";
import { type ConfigSources, originOf } from "../../config/resolve.js";
import { readConfigText } from "../load-config.js";
import { type AdminPlace, adminPlace } from "./admin-place.js";
import type { ClientOptionName } from "./client-options.js";
import type { Call } from "./command.js";

/** Where the options of this call, the environment and the config file say that the admin API is. Throws `ERR_OPTION`. */
export function placeOf(call: Call, env: NodeJS.ProcessEnv): AdminPlace {
  const given = (name: ClientOptionName, variable = "") => call.text(name) ?? env[variable] ?? "";
  const path = given("config", "FNLB_CONFIG");
  const options: Partial<Record<"admin" | "admin-token", string>> = {};
  for (const name of ["admin", "admin-token"] as const) {
    const text = call.text(name);
    if (text !== undefined) options[name] = text;
  }
  // Of a config only what says where to ask is read: it need not be one that this machine could serve.
  const file = path === "" ? undefined : parseConfigFile(readConfigText(path), path);
  const sources: ConfigSources = { options, env, file };
  return adminPlace({
    // A flag of this command line wins over a variable of any kind.
    server: call.text("server") ?? (call.text("admin") === undefined ? (env.FNLB_SERVER ?? "") : ""),
    admin: originOf("admin", sources),
    token: originOf("admin-token", sources),
    tlsCert: originOf("admin-tls-cert", sources),
    caFile: given("ca"),
    certFile: given("cert"),
    keyFile: given("key"),
  });
}
