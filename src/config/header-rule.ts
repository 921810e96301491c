import type { HeaderRule } from "../core/header-rule.js";
import { isSecretField, SECRET } from "../core/secrets.js";

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

/** A rule as it may be shown: `set Authorization: (secret)`. */
export function shownHeaderRule(text: string): string {
  const rule = parseHeaderRule(text);
  if (rule === undefined) return shownBadRule(text);
  const hidesValue = rule.value !== "" && isSecretField(rule.name);
  return hidesValue ? `${rule.action} ${rule.name}: ${SECRET}` : text;
}

/** One that cannot be read may have its value anywhere behind what looks like the name of a secret. */
function shownBadRule(text: string): string {
  return text.replace(/((?:authorization|cookie|token|secret|key|password)[\w-]*:?)[\s\S]+$/i, `$1 ${SECRET}`);
}
