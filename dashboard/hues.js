/** Hues of the ring that the style sheet has; more nodes share them, and their names tell them apart. */
const HUES = 8;

/** @param {number} index of a node in its cluster */
export function hueOf(index) {
  return `var(--ring-${index % HUES})`;
}
