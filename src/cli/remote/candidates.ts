import { AdminClient } from "./admin-client.js";
import { askClusters, askListeners, askNodes } from "./answers.js";
import { type ClientOptionName, PLACE_OPTIONS } from "./client-options.js";
import { Call } from "./command.js";
import { placeOf } from "./place.js";

/** Somebody is holding the key. */
const TIMEOUT_MS = 800;
/** What needs quotes is left out: a shell would make something else of it. */
const PLAIN = /^[\w.:/@%+,[\]-]+$/;

/**
 * Names of nodes, clusters or listeners, of the balancer that the words on the command line so far lead to. None where it
 * cannot be asked: whoever types wants no messages in between.
 */
export async function candidates(
  kind: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<readonly string[]> {
  const call = looseCall(words);
  let admin: AdminClient | undefined;
  try {
    admin = new AdminClient(placeOf(call, env), { timeoutMs: TIMEOUT_MS });
    return (await namesOf(kind, admin, call)).filter((name) => PLAIN.test(name));
  } catch {
    // The command itself will say what is wrong.
    return [];
  } finally {
    await admin?.close();
  }
}

async function namesOf(kind: string, admin: AdminClient, call: Call): Promise<readonly string[]> {
  switch (kind) {
    case "nodes":
      return [...new Set((await askNodes(admin, call.text("cluster"))).nodes.map(({ id }) => id))];
    case "clusters":
      return askClusters(admin);
    case "listeners":
      return (await askListeners(admin)).listeners.map(({ id }) => id);
    default:
      return [];
  }
}

/** The options that matter, out of a line that nobody has finished yet. */
function looseCall(words: readonly string[]): Call {
  const values: Partial<Record<ClientOptionName, string>> = {};
  for (const name of [...PLACE_OPTIONS, "cluster"] as const) {
    for (const [index, word] of words.entries()) {
      if (word === `--${name}` && index + 1 < words.length) values[name] = words[index + 1];
      if (word.startsWith(`--${name}=`)) values[name] = word.slice(name.length + 3);
    }
  }
  return new Call([], values);
}
