import { EXIT } from "../../exit.js";
import { askClusters, askEdits, askNodes, type EditsAnswer, type NodeAnswer } from "../answers.js";
import type { CommandContext } from "../command.js";
import { latencyText } from "../display/figures.js";
import { printJson } from "../display/print-json.js";
import { statesCell } from "../display/states.js";
import { type Column, tableLines } from "../display/table.js";

/** `fnlb nodes`: every node with its states and what it has done since it joined. */
export async function nodes(context: CommandContext): Promise<number> {
  const { admin, terminal, call } = context;
  if (call.isSet("edits")) return edits(context);
  const { text, nodes } = await askNodes(admin, call.text("cluster"));
  if (call.isSet("json")) return printJson(terminal, text);
  const look = { width: terminal.columns(), hasColor: terminal.hasColor };
  terminal.write(`${tableLines(nodeColumns(nodes), nodes, look).join("\n")}\n`);
  return 0;
}

type Edit = EditsAnswer["edits"][number] & { readonly cluster: string };

/** `fnlb nodes --edits`: what operators have said; a dash is nothing. */
async function edits({ admin, terminal, call }: CommandContext): Promise<number> {
  const named = call.text("cluster");
  const clusters = named === undefined ? await askClusters(admin) : [named];
  const rows: Edit[] = [];
  for (const cluster of clusters) {
    const { text, edits } = await askEdits(admin, cluster);
    if (call.isSet("json")) printJson(terminal, text);
    rows.push(...edits.map((edit) => ({ cluster, ...edit })));
  }
  if (call.isSet("json")) return EXIT.CLEAN;
  const look = { width: terminal.columns(), hasColor: terminal.hasColor };
  const columns: readonly Column<Edit>[] = [
    ...(clusters.length > 1 ? [{ title: "CLUSTER", cell: ({ cluster }: Edit) => cluster }] : []),
    { title: "NODE", cell: ({ node }) => node },
    { title: "PRESENCE", cell: ({ presence = "-" }) => presence },
    { title: "WEIGHT", align: "right", cell: ({ weight = "-" }) => String(weight) },
    { title: "MODE", cell: ({ mode }) => (mode === undefined ? "-" : statesCell([mode])) },
  ];
  terminal.write(`${tableLines(columns, rows, look).join("\n")}\n`);
  return EXIT.CLEAN;
}

/** Clusters are named where there are several. */
function nodeColumns(nodes: readonly NodeAnswer[]): readonly Column<NodeAnswer>[] {
  const cluster: Column<NodeAnswer> = { title: "CLUSTER", cell: (node) => node.cluster };
  return [
    ...(new Set(nodes.map((node) => node.cluster)).size > 1 ? [cluster] : []),
    { title: "NODE", cell: (node) => node.id },
    { title: "STATE", cell: (node) => statesCell(node.states) },
    { title: "WEIGHT", align: "right", cell: (node) => String(node.weight) },
    { title: "IN FLIGHT", align: "right", cell: (node) => String(node.inFlight) },
    { title: "CONNECTIONS", align: "right", cell: (node) => String(node.connections) },
    { title: "ATTEMPTS", align: "right", cell: (node) => String(node.attempts) },
    { title: "FAULTS", align: "right", cell: (node) => String(node.faults) },
    { title: "P50", align: "right", cell: (node) => latencyText(node.latencyMs?.p50) },
    { title: "P99", align: "right", cell: (node) => latencyText(node.latencyMs?.p99) },
  ];
}
