import type { Discovery, DiscoveryAnswer } from "./discovery.js";
import { parseNodeList } from "./node-list.js";

export interface FileDiscoveryDependencies {
  /** The text of a file; rejects with a `code` of the system. */
  readonly readText: (path: string) => Promise<string>;
}

/** A line may be a megabyte long; the log need not repeat it. */
const REASON_CHARACTERS_MAX = 300;

/**
 * Nodes from a file. It is looked at by its path and compared by its text: a watch on the file itself would end with
 * the first atomic rename and miss the swapped links of a mounted ConfigMap.
 */
export function fileDiscovery(
  { readText }: FileDiscoveryDependencies,
  { name, path }: { readonly name: string; readonly path: string },
): Discovery {
  /** What was there at the last look, and of it whatever has been there twice. */
  let sighted: string | undefined;
  let settled: { readonly sight: string; readonly answer: DiscoveryAnswer } | undefined;

  return {
    name,
    async find() {
      const { sight, read } = await look(readText, path);
      // What has just changed may be half written, or gone for the moment between a removal and its replacement.
      const isSettled = sighted === undefined || sight === sighted;
      sighted = sight;
      if (!isSettled) return { nodes: undefined, validMs: 0, fault: undefined };
      if (settled?.sight !== sight) settled = { sight, answer: read() };
      return settled.answer;
    },
  };
}

interface Look {
  /** Equal to that of another look if nothing has changed. */
  readonly sight: string;
  readonly read: () => DiscoveryAnswer;
}

async function look(readText: FileDiscoveryDependencies["readText"], path: string): Promise<Look> {
  try {
    const text = await readText(path);
    return { sight: `text ${text}`, read: () => answerOf(text) };
  } catch (error) {
    const { code = "UNKNOWN" } = error as NodeJS.ErrnoException;
    return { sight: `fault ${code}`, read: () => faultOf(code) };
  }
}

function answerOf(text: string): DiscoveryAnswer {
  const nodes = parseNodeList(text);
  return "reason" in nodes ? faultOf(nodes.reason) : { nodes, validMs: 0, fault: undefined };
}

/** A look costs little: it is repeated at the shortest interval, whatever went wrong. */
function faultOf(reason: string): DiscoveryAnswer {
  return { nodes: undefined, validMs: 0, fault: reason.slice(0, REASON_CHARACTERS_MAX) };
}
