import { WEIGHT_MAX } from "../config/node-address.js";
import type { NodeChange, NodeEdit } from "../core/registry.js";

// A registry as statements: `weight 10.0.0.1:8080` → `2.5`. One text a statement and not one a node, so that two operators
// who say different things about one node at the same time are both heard, without reading before writing.

const SUBJECTS = ["presence", "weight", "mode"] as const;
type Subject = (typeof SUBJECTS)[number];

/** What an edit writes: "" takes a statement back. Of several changes of one thing the last counts. */
export function statementsOf(changes: readonly NodeChange[]): Map<string, string> {
  const statements = new Map<string, string>();
  const say = (subject: Subject, id: string, value: string) => statements.set(`${subject} ${id}`, value);
  for (const { id, presence, weight, mode } of changes) {
    if (presence !== undefined) say("presence", id, presence ?? "");
    if (presence === "removed") {
      say("weight", id, "");
      say("mode", id, "");
      continue;
    }
    if (weight !== undefined) say("weight", id, weight === null ? "" : String(weight));
    if (mode !== undefined) say("mode", id, mode === "active" ? "" : mode);
  }
  return statements;
}

/** The statement that a guard is about. */
export function presenceOf(id: string): string {
  return `presence ${id}`;
}

/** What was said of nodes before some statements about them were replaced; `replaced` has the values that these had. */
export function editsBefore(
  changes: readonly NodeChange[],
  after: ReadonlyMap<string, string>,
  replaced: ReadonlyMap<string, string>,
): Map<string, NodeEdit> {
  const names = changes.flatMap(({ id }) => SUBJECTS.map((subject) => `${subject} ${id}`));
  return editsOf(names.map((name) => [name, replaced.get(name) ?? after.get(name) ?? ""]));
}

/** The other way round. What cannot be read is left out: a later version of this program may say more. */
export function editsOf(statements: Iterable<readonly [string, string]>): Map<string, NodeEdit> {
  const edits = new Map<string, NodeEdit>();
  for (const [name, value] of statements) {
    const space = name.indexOf(" ");
    const edit = readStatement(name.slice(0, space), value);
    const id = name.slice(space + 1);
    if (edit !== undefined && id !== "") edits.set(id, { ...edits.get(id), ...edit });
  }
  return edits;
}

function readStatement(subject: string, value: string): NodeEdit | undefined {
  switch (subject) {
    case "presence":
      return value === "added" || value === "removed" ? { presence: value } : undefined;
    case "weight":
      return /^\d+(?:\.\d+)?(?:e-\d+)?$/.test(value) && Number(value) <= WEIGHT_MAX
        ? { weight: Number(value) }
        : undefined;
    case "mode":
      return value === "draining" || value === "disabled" ? { mode: value } : undefined;
    default:
      return undefined;
  }
}
