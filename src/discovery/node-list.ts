import { type BadNode, type NodeConfig, parseNodes } from "../config/node-address.js";

/** `[]`, or `[` and a string: `[::1]:8080` is a node. */
const JSON_ARRAY = /^\s*\[\s*["\]]/;
/** At the start of a line or behind a blank: the path of a unix socket may have one within. */
const COMMENT = /(?:^|\s)#.*$/;

/**
 * Reads the text of a file of nodes: one on each line or several with commas, as `--nodes` takes them, with `#` before
 * comments; or a JSON array of strings. All of it or nothing: half a list is worse than the last one.
 */
export function parseNodeList(text: string): readonly NodeConfig[] | BadNode {
  // What some editors put in front of UTF-8.
  const content = text.replace(/^\uFEFF/, "");
  return JSON_ARRAY.test(content) ? parseArray(content) : parseLines(content);
}

function parseArray(text: string): readonly NodeConfig[] | BadNode {
  let items: unknown;
  try {
    items = JSON.parse(text);
  } catch (error) {
    return { reason: `is no JSON array: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (!Array.isArray(items)) return { reason: "is no JSON array" };
  return collect(items, (index) => `item ${index + 1}`);
}

function parseLines(text: string): readonly NodeConfig[] | BadNode {
  const lines = text.split(/\r?\n/).map((line) => line.replace(COMMENT, "").trim());
  return collect(lines, (index) => `line ${index + 1}`, "");
}

/** `skipped` stands for nothing. */
function collect(
  items: readonly unknown[],
  placeOf: (index: number) => string,
  skipped?: string,
): readonly NodeConfig[] | BadNode {
  const nodes: NodeConfig[] = [];
  for (const [index, item] of items.entries()) {
    if (item === skipped) continue;
    if (typeof item !== "string") return { reason: `${placeOf(index)} is no text` };
    const found = parseNodes(item);
    if ("reason" in found) return { reason: `${placeOf(index)} ${found.reason}` };
    nodes.push(...found);
  }
  return nodes;
}
