import type { ClusterOptionName } from "./options.js";
import { badOption } from "./units.js";
import { type Given, single } from "./value.js";

/** What of a cluster is judged together. */
export interface ClusterChoice {
  readonly outlierEjectionMs: number;
  readonly outlierEjectionMaxMs: number;
  readonly breakerOpenMs: number;
  readonly breakerOpenMaxMs: number;
  readonly checkMethod: "GET" | "HEAD";
  readonly checkBody: string;
  readonly checkMinVersion: string;
}

/** How an option was given, and whether it was at all. */
type Origin = Given & { readonly isDefault: boolean };

/** Refuses options of one cluster that contradict each other. Throws `ERR_OPTION` in the name of one that was given. */
export function checkCluster(choice: ClusterChoice, origin: (name: ClusterOptionName) => Origin): void {
  const refuse = (name: ClusterOptionName, expected: string) => {
    const given = origin(name);
    throw badOption(given.source, expected, single(given));
  };
  const refuseOrder = (lower: ClusterOptionName, upper: ClusterOptionName) => {
    if (origin(upper).isDefault) refuse(lower, `at most ${upper}, which is ${single(origin(upper))}`);
    refuse(upper, `at least ${lower}, which is ${single(origin(lower))}`);
  };
  if (choice.outlierEjectionMaxMs < choice.outlierEjectionMs) refuseOrder("outlier-ejection", "outlier-ejection-max");
  if (choice.breakerOpenMaxMs < choice.breakerOpenMs) refuseOrder("breaker-open", "breaker-open-max");
  if (choice.checkMethod === "HEAD" && (choice.checkBody !== "" || choice.checkMinVersion !== "")) {
    refuse("check-method", "GET with check-body or check-min-version: an answer to HEAD has no body");
  }
}
