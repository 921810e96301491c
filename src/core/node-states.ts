import type { NodeSnapshot } from "./snapshot.js";

/** What a node is besides what it is asked: several at a time, or only `serving`, when nothing keeps new keys from it. */
export type NodeStateName = "serving" | (typeof STATES)[number][0];

const STATES = [
  ["dead", ({ alive }) => !alive],
  ["suspect", ({ suspect }) => suspect],
  ["failing", ({ check }) => check === "failing"],
  ["unchecked", ({ check }) => check === "unknown"],
  ["ejected", ({ ejected }) => ejected],
  ["breaker-open", ({ breaker }) => breaker === "open"],
  ["breaker-half-open", ({ breaker }) => breaker === "half-open"],
  ["draining", ({ mode }) => mode === "draining"],
  ["disabled", ({ mode }) => mode === "disabled"],
  ["no-weight", ({ weight }) => weight === 0],
] as const satisfies readonly (readonly [state: string, test: (node: NodeStateFields) => boolean])[];

/** What the states of a node follow from. */
export type NodeStateFields = Pick<
  NodeSnapshot,
  "alive" | "suspect" | "check" | "ejected" | "breaker" | "mode" | "weight"
>;

/** Every name of a state, `serving` first. */
export const NODE_STATE_NAMES: readonly NodeStateName[] = ["serving", ...STATES.map(([name]) => name)];

/** In the order of the names; a half-open breaker lets one probe at a time through, and so serves as well. */
export function nodeStates(node: NodeStateFields): readonly NodeStateName[] {
  const states: NodeStateName[] = STATES.filter(([, test]) => test(node)).map(([name]) => name);
  return states.every((state) => state === "breaker-half-open") ? ["serving", ...states] : states;
}
