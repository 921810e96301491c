import type { ExplainedNode, Explanation } from "../../core/operations.js";
import { statesCell } from "./states.js";
import { type Column, tableLines } from "./table.js";
import type { Terminal } from "./terminal.js";
import { cutText, plainText } from "./text-width.js";

const LABEL_WIDTH = 9;

/** Says where a request goes: facts one a line, then the nodes in the order in which it would come to them. */
export function printExplanation(
  terminal: Terminal,
  request: { readonly method: string; readonly url: string },
  explanation: Explanation,
): void {
  const look = { width: terminal.columns(), hasColor: terminal.hasColor };
  const lines = factsOf(request, explanation).map(([label, fact]) =>
    cutText(`${label.padEnd(LABEL_WIDTH)} ${plainText(fact)}`, look.width),
  );
  if (explanation.order.length > 0) {
    const rows = explanation.order.map((node, index) => ({ ...node, rank: index + 1 }));
    lines.push("", ...tableLines(explanation.isFixed ? [RANK, ...COLUMNS] : COLUMNS, rows, look));
  }
  terminal.write(`${lines.join("\n")}\n`);
}

function factsOf({ method, url }: { readonly method: string; readonly url: string }, explanation: Explanation) {
  const { route, cluster, policy, key, keyHash, sticky, problem, redirect, isFixed, node, source } = explanation;
  const facts: [label: string, fact: string][] = [["request", `${method} ${url}`]];
  if (route !== undefined) facts.push(["route", route]);
  if (cluster !== undefined) facts.push(["cluster", policy === undefined ? cluster : `${cluster}, ${policy}`]);
  if (key !== undefined) facts.push(["key", keyHash === undefined ? key : `${key}, hashed to ${keyHash}`]);
  if (sticky !== undefined) facts.push(["sticky", `by ${sticky.by}, ${sticky.node ?? "names no node of the cluster"}`]);
  if (redirect !== undefined) facts.push(["redirect", `${redirect.status} to ${redirect.location}`]);
  if (problem !== undefined) facts.push(["problem", `${problem.code}: ${problem.detail}`]);
  else if (redirect === undefined) facts.push(["node", node ?? (isFixed ? "none is eligible" : "not fixed, any of these that is eligible")]);
  if (source === "config") facts.push(["by", "the config alone, as if all nodes were well"]);
  return facts;
}

type RankedNode = ExplainedNode & { readonly rank: number };

const RANK: Column<RankedNode> = { title: "ORDER", align: "right", cell: ({ rank }) => String(rank) };

const COLUMNS: readonly Column<RankedNode>[] = [
  { title: "NODE", cell: ({ id }) => id },
  { title: "ELIGIBLE", cell: ({ isEligible }) => (isEligible ? "yes" : "no") },
  { title: "STATE", cell: ({ states }) => statesCell(states) },
];
