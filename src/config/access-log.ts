import { badOption } from "./units.js";
import { type Given, listItems, TOKEN } from "./value.js";

/** Names of header fields in lower case, each once. */
export function readLoggedFields(given: Given): readonly string[] {
  const names = listItems(given).map((name) => name.toLowerCase());
  for (const name of names)
    if (!TOKEN.test(name)) throw badOption(given.source, "names of header fields such as user-agent", name);
  return [...new Set(names)];
}
