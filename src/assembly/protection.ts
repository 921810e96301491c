import type { ClusterSettings, ProcessSettings } from "../config/config.js";
import { CircuitBreaker, type CircuitBreakerDependencies } from "../core/breaker.js";
import { type OutlierDependencies, OutlierDetector } from "../core/outlier.js";
import { FnlbError } from "../errors.js";
import { compileHeaderRules, type HeaderEdits, isEndToEnd } from "../http1/header-rules.js";
import { forwardedNames } from "../proxy/forwarded.js";

/** Outlier detection of a cluster, or undefined where that is off. Throws `ERR_OPTION`. */
export function outlierOf(settings: ClusterSettings, dependencies: OutlierDependencies): OutlierDetector | undefined {
  const { outlierConsecutive: consecutiveFaults, outlierShareMax: faultShareMax } = settings;
  if (consecutiveFaults === 0 && faultShareMax === 0) return undefined;
  return new OutlierDetector(dependencies, {
    consecutiveFaults,
    faultShareMax,
    volumeMin: settings.outlierVolumeMin,
    windowMs: settings.outlierWindowMs,
    ejectionMs: settings.outlierEjectionMs,
    ejectionMaxMs: settings.outlierEjectionMaxMs,
    ejectedShareMax: settings.outlierEjectedShareMax,
    panicShare: settings.panicShare,
  });
}

/** The circuit breakers of a cluster, or undefined where they are off. Throws `ERR_OPTION`. */
export function breakerOf(
  { breakerFaults, breakerOpenMs: openMs, breakerOpenMaxMs: openMaxMs }: ClusterSettings,
  dependencies: CircuitBreakerDependencies,
): CircuitBreaker | undefined {
  if (breakerFaults === 0) return undefined;
  return new CircuitBreaker(dependencies, { consecutiveFaults: breakerFaults, openMs, openMaxMs });
}

/** The header rules of a cluster, compiled. Throws `ERR_OPTION` for fields that nobody may touch. */
export function editsOf(
  process: ProcessSettings,
  { requestHeaders, responseHeaders, loadHeader, stickyHeader }: ClusterSettings,
): { readonly requestEdits: HeaderEdits | undefined; readonly responseEdits: HeaderEdits | undefined } {
  const own = [loadHeader, stickyHeader.toLowerCase()].filter((name) => name !== "");
  if (loadHeader !== "" && (!isEndToEnd(loadHeader) || own[0] === own[1])) {
    throw new FnlbError("ERR_OPTION", `option "load-header" must be a field of its own, got "${loadHeader}"`);
  }
  return {
    requestEdits: compileHeaderRules(requestHeaders, { message: "request", reserved: forwardedNames(process) }),
    responseEdits: compileHeaderRules(responseHeaders, { message: "response", reserved: own }),
  };
}
