import type { Config } from "../../config/config.js";
import type { OptionName } from "../../config/options.js";
import type { LogLevelDial } from "../../core/log.js";
import type { Operations } from "../../core/operations.js";
import type { RuntimeReading } from "../../core/runtime-reading.js";
import type { RecentPoint } from "../dashboard/history.js";

/** What the admin API is about: a balancer, and the process that it runs in. */
export interface AdminSubject {
  readonly operations: Operations;
  /** The config in force. */
  readonly config: () => Config;
  /** Where an option's value comes from (`--nodes`, `FNLB_NODES`, `fnlb.yaml:3:5`, `default`); undefined: nobody knows. */
  readonly placeOf: (name: OptionName, cluster?: string) => string | undefined;
  /** Undefined where the program's log has no level that can be changed. */
  readonly logLevel: LogLevelDial | undefined;
  /** What a cluster, or one of its nodes, has done in the last two seconds; undefined where that is not known. */
  readonly recentOf: (cluster: string, node?: string) => RecentPoint | undefined;
  readonly readRuntime: () => RuntimeReading;
  /** Milliseconds since the epoch. */
  readonly wallNow: () => number;
  /** That of fnlb. */
  readonly version: string;
  readonly pid: number;
}
