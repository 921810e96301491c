import { isIP } from "node:net";
import { badOption } from "./units.js";
import { type Given, listItems, TOKEN } from "./value.js";

/** Addresses and CIDR blocks, as they were written. */
export function readTrustedProxies(given: Given): readonly string[] {
  return listItems(given).map((item) => {
    const [address, prefix, ...rest] = item.split("/");
    const family = isIP(address);
    const prefixMax = family === 6 ? 128 : 32;
    const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= prefixMax);
    if (family === 0 || !isPrefix || rest.length > 0) {
      throw badOption(given.source, "addresses or CIDR blocks such as 10.0.0.0/8 or fd00::/8", item);
    }
    return item;
  });
}

/** Tokens in lower case; none for `none`. */
export function readUpgradeTokens(given: Given): readonly string[] {
  const tokens = listItems(given).map((token) => token.toLowerCase());
  if (tokens.length === 1 && tokens[0] === "none") return [];
  for (const token of tokens) {
    // h2c would hand a connection over whose every later request bypasses the balancer.
    if (!TOKEN.test(token) || token === "h2c" || token === "none")
      throw badOption(given.source, "none, or tokens other than h2c", token);
  }
  return tokens;
}
