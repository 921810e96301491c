import type { ClusterSettings, ProcessSettings } from "../config/config.js";
import { CircuitBreaker, type CircuitBreakerDependencies } from "../core/breaker.js";
import { type OutlierDependencies, OutlierDetector } from "../core/outlier.js";
import { compileHeaderRules, type HeaderEdits } from "../http1/header-rules.js";
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

/** What a cluster changes in requests. Throws `ERR_OPTION` for fields that nobody may touch. */
export function requestEditsOf(
  process: ProcessSettings,
  { requestHeaders }: Pick<ClusterSettings, "requestHeaders">,
): HeaderEdits | undefined {
  return compileHeaderRules(requestHeaders, { message: "request", reserved: forwardedNames(process) });
}

/** What a cluster changes in responses. Throws `ERR_OPTION`. */
export function responseEditsOf({
  responseHeaders,
  loadHeader,
  stickyHeader,
}: Pick<ClusterSettings, "responseHeaders" | "loadHeader" | "stickyHeader">): HeaderEdits | undefined {
  const reserved = [loadHeader, stickyHeader.toLowerCase()].filter((name) => name !== "");
  return compileHeaderRules(responseHeaders, { message: "response", reserved });
}
