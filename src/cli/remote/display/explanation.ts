import type { ExplainedNode, Explanation, RequestSketch } from "../../../core/operations.js";
import { statesCell } from "./states.js";
import { type Column, tableLines } from "./table.js";
import type { Terminal } from "./terminal.js";
import { cutText, plainText } from "./text-width.js";

const LABEL_WIDTH = 9;

/** Says where a request goes: facts one a line, then the nodes in the order in which it would come to them. */
export function printExplanation(terminal: Terminal, request: RequestSketch, explanation: Explanation): void {
  const look = { width: terminal.columns(), hasColor: terminal.hasColor };
  const lines = factsOf(request, explanation).map(([label, fact]) =>
    cutText(`${label.padEnd(LABEL_WIDTH)} ${plainText(fact)}`, look.width),
  );
  if (explanation.order.length > 0) {
    lines.push("", ...tableLines(COLUMNS, explanation.order, look));
  }
  terminal.write(`${lines.join("\n")}\n`);
}

function factsOf({ method = "GET", url }: RequestSketch, explanation: Explanation) {
  const { route, cluster, policy, key, keyHash, sticky, problem, redirect, isFixed, node, source } = explanation;
  const facts: [label: string, fact: string][] = [["request", `${method} ${url}`]];
  if (route !== undefined) facts.push(["route", route]);
  if (cluster !== undefined) facts.push(["cluster", policy === undefined ? cluster : `${cluster}, ${policy}`]);
  if (key !== undefined) facts.push(["key", keyHash === undefined ? key : `${key}, hashed to ${keyHash}`]);
  if (sticky !== undefined) facts.push(["sticky", `by ${sticky.by}, ${sticky.node ?? "names no node of the cluster"}`]);
  if (redirect !== undefined) facts.push(["redirect", `${redirect.status} to ${redirect.location}`]);
  if (problem !== undefined) facts.push(["problem", `${problem.code}: ${problem.detail}`]);
  else if (redirect === undefined)
    facts.push(["node", node ?? (isFixed ? "nobody may take it" : "not fixed: the policy takes turns or draws lots")]);
  if (source === "config") facts.push(["by", "the config alone, as if all nodes were well"]);
  for (const note of explanation.notes) facts.push(["note", note]);
  return facts;
}

const COLUMNS: readonly Column<ExplainedNode>[] = [
  { title: "ATTEMPT", align: "right", cell: ({ attempt }) => String(attempt ?? "-") },
  { title: "NODE", cell: ({ id }) => id },
  { title: "STATE", cell: ({ states }) => statesCell(states) },
  { title: "PASSED OVER FOR", cell: ({ reasons }) => reasons.join(", ") || "-" },
];
