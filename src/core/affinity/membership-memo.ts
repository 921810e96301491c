import type { Node } from "../node.js";

/**
 * Computes something of a list of nodes once for each list: what every node is called in a cookie, so that a request
 * costs one look-up however many nodes there are. Forgotten with the list.
 */
export function membershipMemo<Value>(
  compute: (members: readonly Node[]) => Value,
): (members: readonly Node[]) => Value {
  const known = new WeakMap<readonly Node[], { readonly value: Value }>();
  return (members) => {
    let computed = known.get(members);
    if (computed === undefined) {
      computed = { value: compute(members) };
      known.set(members, computed);
    }
    return computed.value;
  };
}
