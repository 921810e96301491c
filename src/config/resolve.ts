import { isIP } from "node:net";
import { isPrime } from "../core/policies/maglev.js";
import type { PolicyName } from "../core/policies/table.js";
import type { Config, KeyPart, ListenAddress, ListenerConfig, StickyCodecName } from "./config.js";
import { isHostName, LISTEN_ADDRESS_SHAPE, parseListenAddress } from "./listen-address.js";
import { parseNodes } from "./node-address.js";
import { environmentName, OPTION_LIST, OPTIONS, type OptionName, type OptionSpec } from "./options.js";
import { badOption, parseDuration, parseSize } from "./units.js";

/** What options come as: text as on a command line, numbers in the smallest unit, booleans; lists for repeatable ones. */
export type OptionValue = string | number | boolean | readonly (string | number)[];

export interface ConfigSources {
  /** By option name, with dashes: `{ nodes: "a,b", "ping-interval": "500ms" }`. */
  readonly options?: Readonly<Partial<Record<OptionName, OptionValue | undefined>>>;
  /** The process's environment. Only the variables of known options are read: Kubernetes injects others of the same prefix. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Text of an option and where it came from. */
interface Given {
  readonly texts: readonly string[];
  readonly source: string;
}

/**
 * Resolves options, environment and defaults, in this order of precedence, to a complete, checked and frozen
 * config. Throws `ERR_OPTION` with a sentence that names the option or variable, what it must be and what it was.
 */
export function resolveConfig({ options = {}, env = {} }: ConfigSources = {}): Config {
  const known = new Set<string>(OPTION_LIST.map(([name]) => name));
  for (const name of Object.keys(options)) {
    if (!known.has(name)) throw badOption(`option "${name}"`, "one of those in docs/options.md", name);
  }
  const given = (name: OptionName) => giveTexts(name, options, env);
  const text = (name: OptionName) => single(given(name));
  const duration = (name: OptionName) => quantity(name, given(name), parseDuration, "a time such as 250ms, 5s or 1h");
  const size = (name: OptionName) => quantity(name, given(name), parseSize, "a size such as 500, 64KiB or 1MB");
  const count = (name: OptionName) => quantity(name, given(name), parseCount, "a whole number");
  const choice = <Choice extends string>(name: OptionName, choices: readonly Choice[]) =>
    readChoice(given(name), choices);

  const policy = choice("policy", OPTIONS.policy.choices);
  refuseIdleOptions(policy, given);

  return deepFreeze({
    listeners: readListeners(given("listen"), given("proxy-listen")),
    nodes: readNodes(given("nodes")),

    key: readKeyParts(given("key")),
    keyRequired: readSwitch(given("key-required")),
    policy,
    hash: choice("hash", OPTIONS.hash.choices),
    balanceFactor: readBalanceFactor(given("balance-factor")),
    spread: count("spread"),
    maglevTableSize: readTableSize(given("maglev-table-size"), count("maglev-table-size")),
    rebalance: readSwitch(given("rebalance")),
    wrrMode: choice("wrr-mode", OPTIONS["wrr-mode"].choices),
    slowStartMs: duration("slow-start"),

    ...readSticky(given, duration("sticky-ttl"), duration("sticky-max-age")),

    resolveIntervalMs: duration("resolve-interval"),
    connectTimeoutMs: duration("connect-timeout"),
    dialDeadlineMs: duration("dial-deadline"),
    responseTimeoutMs: duration("response-timeout"),
    silenceMs: duration("silence"),
    bodyIdleTimeoutMs: duration("body-idle-timeout"),
    exchangeTimeoutMs: duration("exchange-timeout"),
    headTimeoutMs: duration("head-timeout"),
    keepAliveTimeoutMs: duration("keep-alive-timeout"),
    nodeKeepAliveTimeoutMs: duration("node-keep-alive-timeout"),
    tunnelIdleTimeoutMs: duration("tunnel-idle-timeout"),
    pingIntervalMs: duration("ping-interval"),
    pingTimeoutMs: duration("ping-timeout"),

    attemptsMax: count("attempts"),
    replayBytesMax: size("replay-bytes"),

    headBytesMax: size("head-bytes"),
    headFieldsMax: count("head-fields"),
    targetBytesMax: size("target-bytes"),
    responseHeadBytesMax: size("response-head-bytes"),
    bodyBytesMax: size("body-bytes"),

    connectionsMax: count("connections"),
    connectionsPerClientMax: count("connections-per-client"),
    requestsPerConnectionMax: count("requests-per-connection"),
    tunnelsMax: count("tunnels"),
    nodeConnectionsMax: count("node-connections"),
    nodeIdleConnectionsMax: count("node-idle-connections"),

    trustedProxies: readTrustedProxies(given("trust-proxy")),
    forwardedFor: choice("forwarded-for", OPTIONS["forwarded-for"].choices),
    forwardedHeaders: choice("forwarded-headers", OPTIONS["forwarded-headers"].choices),
    requestId: readSwitch(given("request-id")),
    upgradeTokens: readUpgradeTokens(given("upgrade")),
    abortOnClose: readSwitch(given("abort-on-close")),

    drainDelayMs: duration("drain-delay"),
    shutdownTimeoutMs: duration("shutdown-timeout"),

    accessLog: text("access-log"),
    logFile: readLogFile(given("log-file")),
    logLevel: choice("log-level", OPTIONS["log-level"].choices),
  });
}

function giveTexts(
  name: OptionName,
  options: NonNullable<ConfigSources["options"]>,
  env: NonNullable<ConfigSources["env"]>,
): Given {
  const spec: OptionSpec = OPTIONS[name];
  const value = options[name];
  if (value !== undefined) {
    const source = `option "${name}"`;
    const texts = (Array.isArray(value) ? value : [value]).map(String);
    // What `--no-nodes` comes to.
    if (typeof value === "boolean" && spec.kind !== "switch") throw badOption(source, "given with a value", texts[0]);
    if (texts.length > 1 && spec.isRepeatable === undefined) throw badOption(source, "given once", texts.join(" "));
    return { texts, source };
  }
  const variable = environmentName(name);
  const fromEnv = env[variable];
  if (fromEnv !== undefined) {
    const isListOfAddresses = spec.isRepeatable === true && spec.kind === "text";
    return { texts: isListOfAddresses ? fromEnv.split(",") : [fromEnv], source: `environment variable ${variable}` };
  }
  return { texts: [spec.default], source: `default of option "${name}"` };
}

function single({ texts }: Given): string {
  return texts[0].trim();
}

function quantity(name: OptionName, given: Given, parse: (text: string) => number | undefined, shape: string): number {
  const { min = 0, max = Number.MAX_SAFE_INTEGER }: OptionSpec = OPTIONS[name];
  const text = single(given);
  const value = parse(text);
  if (value === undefined) throw badOption(given.source, shape, text);
  if (value < min) throw badOption(given.source, `${shape}, at least ${min}`, text);
  if (value > max) throw badOption(given.source, `${shape}, at most ${max}`, text);
  return value;
}

function parseCount(text: string): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

function readSwitch(given: Given): boolean {
  switch (single(given).toLowerCase()) {
    case "true":
    case "1":
    case "yes":
    case "on":
      return true;
    case "false":
    case "0":
    case "no":
    case "off":
      return false;
    default:
      throw badOption(given.source, "true or false", single(given));
  }
}

function readListeners(plain: Given, proxied: Given): readonly ListenerConfig[] {
  const read = ({ texts, source }: Given, proxyProtocol: boolean) =>
    texts.map((item) => {
      const address = parseListenAddress(item);
      if (address === undefined) throw badOption(source, LISTEN_ADDRESS_SHAPE, item);
      return { address, proxyProtocol };
    });
  const isProxyOnly = proxied.texts.join("") !== "" && plain.source.startsWith("default");
  const listeners = [
    // With --proxy-listen alone nothing else is opened: the default port would let clients round the proxy.
    ...(isProxyOnly ? [] : read(plain, false)),
    ...(proxied.texts.join("") === "" ? [] : read(proxied, true)),
  ];
  const seen = new Set<string>();
  for (const { address } of listeners) {
    const name = listenName(address);
    if (seen.has(name)) throw badOption(plain.source, "free of repeated addresses", name);
    // Port 0 is another port each time.
    if (!name.endsWith(":0")) seen.add(name);
  }
  return listeners;
}

function listenName(address: ListenAddress): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  return address.kind === "fd" ? `fd@${address.fd}` : `${address.host}:${address.port}`;
}

function readNodes(given: Given): Config["nodes"] {
  const nodes = parseNodes(single(given));
  if ("reason" in nodes) throw badOption(given.source, `a list of nodes, but it ${nodes.reason}`, single(given));
  return nodes;
}

const KEY_SHAPE =
  "path, target, prefix:N, query:NAME, header:NAME, cookie:NAME, client, host or method, or several joined by commas";
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

function readKeyParts(given: Given): readonly KeyPart[] {
  return single(given)
    .split(",")
    .map((item) => {
      const part = readKeyPart(item.trim());
      if (part === undefined) throw badOption(given.source, KEY_SHAPE, item.trim());
      return part;
    });
}

function readKeyPart(text: string): KeyPart | undefined {
  const colon = text.indexOf(":");
  const kind = colon < 0 ? text : text.slice(0, colon);
  const name = colon < 0 ? "" : text.slice(colon + 1);
  switch (kind) {
    case "path":
    case "target":
    case "client":
    case "host":
    case "method":
      return colon < 0 ? { kind } : undefined;
    case "prefix": {
      const depth = parseCount(name);
      return depth === undefined || depth < 1 || depth > 1000 ? undefined : { kind, depth };
    }
    case "header":
    case "cookie":
      return TOKEN.test(name) ? { kind, name: kind === "header" ? name.toLowerCase() : name } : undefined;
    case "query":
      return /^[\x21-\x7e]+$/.test(name) ? { kind, name } : undefined;
    default:
      return undefined;
  }
}

const BY_KEY: readonly PolicyName[] = ["ring-hash", "maglev", "rendezvous"];
/** Options that only some policies read. */
const POLICIES_OF: readonly (readonly [OptionName, readonly PolicyName[]])[] = [
  ["hash", ["ring-hash"]],
  ["balance-factor", BY_KEY],
  ["spread", BY_KEY],
  ["maglev-table-size", ["maglev"]],
  ["wrr-mode", ["weighted-round-robin"]],
  // With hashing a weight that moves would move keys, which is what hashing is there to prevent.
  ["rebalance", ["weighted-round-robin", "least-loaded", "p2c-ewma", "random"]],
];

/** Whoever sets an option that the policy does not read expects something that would not happen. */
function refuseIdleOptions(policy: PolicyName, given: (name: OptionName) => Given): void {
  for (const [name, readers] of POLICIES_OF) {
    const option = given(name);
    if (readers.includes(policy) || single(option) === OPTIONS[name].default) continue;
    throw badOption(option.source, `left out unless the policy is ${readers.join(" or ")}`, single(option));
  }
}

const STICKY_CODECS: readonly StickyCodecName[] = ["signed", "encrypted", "raw", "hash"];

/** Everything about the cookie; a secret is never repeated in an error. */
function readSticky(given: (name: OptionName) => Given, stickyTtlMs: number, stickyMaxAgeMs: number) {
  const cookie = given("sticky-cookie");
  const stickyCookie = single(cookie);
  if (stickyCookie !== "" && !TOKEN.test(stickyCookie)) throw badOption(cookie.source, "a token", stickyCookie);
  const codecs = given("sticky-codec");
  const stickyCodecs = listItems(codecs).map((item) => {
    const codec = STICKY_CODECS.find((name) => name === item);
    if (codec === undefined) throw badOption(codecs.source, `one or more of ${STICKY_CODECS.join(", ")}`, item);
    return codec;
  });
  if (stickyCodecs.length === 0) throw badOption(codecs.source, `one or more of ${STICKY_CODECS.join(", ")}`, "");
  const stickySecrets = listItems(given("sticky-secret"));
  const { source } = given("sticky-secret");
  const isEncrypted = stickyCodecs.includes("encrypted");
  if (stickyCookie === "" && stickySecrets.length > 0)
    throw badOption(source, "left out without --sticky-cookie", "one");
  if (stickyCookie !== "" && stickySecrets.length === 0 && (isEncrypted || stickyCodecs.includes("signed"))) {
    throw badOption(source, "given for signed and encrypted cookies", "");
  }
  for (const bytes of stickySecrets.map((secret) => Buffer.byteLength(secret))) {
    if (bytes < 16) throw badOption(source, "keys of 16 bytes or more", `one of ${bytes}`);
    if (isEncrypted && ![16, 24, 32].includes(bytes)) {
      throw badOption(source, "keys of 16, 24 or 32 bytes for encrypted cookies", `one of ${bytes}`);
    }
  }
  const stickySecure = readSwitch(given("sticky-secure"));
  const sameSite = given("sticky-same-site");
  if (single(sameSite) === "none" && !stickySecure) {
    throw badOption(sameSite.source, "strict or lax without --sticky-secure", "none");
  }
  const path = given("sticky-path");
  if (!/^\/[ -:<-~]*$/.test(single(path))) throw badOption(path.source, "a path without a semicolon", single(path));
  const domain = given("sticky-domain");
  if (single(domain) !== "" && !isHostName(single(domain).replace(/^\./, ""))) {
    throw badOption(domain.source, "a host name", single(domain));
  }
  return {
    stickyCookie,
    stickyCodecs,
    stickySecrets,
    stickyTtlMs,
    stickyMaxAgeMs,
    stickyPath: single(path),
    stickyDomain: single(domain),
    stickySecure,
    stickyHttpOnly: readSwitch(given("sticky-http-only")),
    stickySameSite: readChoice(sameSite, OPTIONS["sticky-same-site"].choices),
  };
}

function readChoice<Choice extends string>(given: Given, choices: readonly Choice[]): Choice {
  const value = single(given);
  const found = choices.find((candidate) => candidate === value);
  if (found === undefined) throw badOption(given.source, `one of ${choices.join(", ")}`, value);
  return found;
}

function readTableSize(given: Given, size: number): number {
  if (!isPrime(size)) throw badOption(given.source, "a prime number such as 65537", single(given));
  return size;
}

function readBalanceFactor(given: Given): number {
  const text = single(given);
  const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  const isGood = value === 0 || (value >= 1 && value <= OPTIONS["balance-factor"].max);
  if (!isGood) throw badOption(given.source, `0 or a number from 1 to ${OPTIONS["balance-factor"].max}`, text);
  return value;
}

function listItems({ texts }: Given): string[] {
  const joined = texts.join(",");
  return joined.trim() === "" ? [] : joined.split(",").map((item) => item.trim());
}

function readTrustedProxies(given: Given): readonly string[] {
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

function readUpgradeTokens(given: Given): readonly string[] {
  const tokens = listItems(given).map((token) => token.toLowerCase());
  if (tokens.length === 1 && tokens[0] === "none") return [];
  for (const token of tokens) {
    // h2c would hand a connection over whose every later request bypasses the balancer.
    if (!TOKEN.test(token) || token === "h2c" || token === "none")
      throw badOption(given.source, "none, or tokens other than h2c", token);
  }
  return tokens;
}

function readLogFile(given: Given): string {
  const file = single(given);
  if (file === "") throw badOption(given.source, "a file or -", file);
  return file;
}

/** Nobody changes a config behind its reader's back. */
function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === "object" && part !== null) deepFreeze(part);
  return Object.freeze(value);
}
