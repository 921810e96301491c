/** May clients be sent to a balancer? "ready", or why not. */
export const READINESS = ["ready", "starting", "draining", "paused", "no-node-alive"] as const;
export type Readiness = (typeof READINESS)[number];

/** What readiness follows from. */
export interface ReadinessFields {
  /** Its listeners are open. */
  readonly isListening: boolean;
  readonly isDraining: boolean;
  /** Operators have paused each of its listeners. */
  readonly isPaused: boolean;
  readonly clusters: readonly { readonly canServe: boolean }[];
}

/** One cluster that can serve is enough: another one without a node must not take this one from its clients. */
export function decideReadiness({ isListening, isDraining, isPaused, clusters }: ReadinessFields): Readiness {
  if (isDraining) return "draining";
  if (!isListening) return "starting";
  if (isPaused) return "paused";
  return clusters.some(({ canServe }) => canServe) ? "ready" : "no-node-alive";
}
