import type { Cell } from "./table.js";
import type { Color } from "./terminal.js";

/** By urgency: a node that is several things has the colour of the first. */
const COLORS: readonly (readonly [color: Color, states: readonly string[]])[] = [
  ["red", ["dead", "failing", "suspect", "ejected", "breaker-open"]],
  ["yellow", ["draining", "disabled", "no-weight", "unchecked", "breaker-half-open", "paused"]],
  ["green", ["serving", "open"]],
];

/** States by name, in the colour of the worst. */
export function statesCell(states: readonly string[]): Cell {
  const color = COLORS.find(([, names]) => states.some((state) => names.includes(state)))?.[0];
  return { text: states.join(", "), ...(color === undefined ? {} : { color }) };
}
