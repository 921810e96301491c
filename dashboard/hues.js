/** Hues that the style sheet has, apart for colour-blind eyes as well. Shared ones would say that two nodes are one. */
export const HUES = 8;

/**
 * That of a node; empty where there are more nodes than hues.
 * @param {number} index of the node in its cluster
 * @param {number} count of the nodes of the cluster
 */
export function hueOf(index, count) {
  return count > HUES || index < 0 ? "" : `var(--ring-${index})`;
}
