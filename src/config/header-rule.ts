import type { HeaderRule } from "../core/header-rule.js";

/** What a header rule looks like, for error messages and help. */
export const HEADER_RULE_SHAPE = "set NAME: VALUE, add NAME: VALUE or remove NAME";

/**
 * Reads `set X-Env: prod`, `add Vary: Cookie` or `remove Server`; undefined when it is none of these. Blanks around
 * the value do not belong to it. Whether a rule may touch that field is judged where rules are compiled.
 */
export function parseHeaderRule(text: string): HeaderRule | undefined {
  const match = /^[ \t]*(?:(set|add)[ \t]+([^\s:]+):[ \t]*(.*?)|remove[ \t]+([^\s:]+))[ \t]*$/s.exec(text);
  if (match === null) return undefined;
  const [, action, name, value, removed] = match;
  return removed === undefined
    ? { action: action === "set" ? "set" : "add", name, value }
    : { action: "remove", name: removed, value: "" };
}
