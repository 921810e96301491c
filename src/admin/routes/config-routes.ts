import { CLUSTER_OPTIONS } from "../../config/cluster-options.js";
import type { Config, ListenerConfig } from "../../config/config.js";
import { listenName } from "../../config/listen-address.js";
import { type OptionName, shownText } from "../../config/options.js";
import { PROCESS_OPTIONS } from "../../config/process-options.js";
import type { HeaderRule } from "../../core/header-rule.js";
import { LOG_LEVELS, type LogLevelDial } from "../../core/log.js";
import { SECRET, shownFieldValue } from "../../core/secrets.js";
import { FnlbError } from "../../errors.js";
import { type AdminRoute, adminRoute, ok } from "../admin-route.js";
import { anything, dictionary, object, text, word } from "../schema.js";
import type { AdminSubject } from "./subject.js";

const OPTION = object(
  {
    value: anything({
      description:
        "Times in milliseconds, sizes in bytes; of secrets, and of fields such as Authorization, only (secret) is shown.",
    }),
  },
  { from: text({ description: "--nodes, FNLB_NODES, fnlb.yaml:3:5 or default, where that is known." }) },
  { title: "Option" },
);

const CONFIG = object(
  {
    options: dictionary(OPTION, { description: "Those of the whole process, by name." }),
    clusters: dictionary(dictionary(OPTION), { description: "By name of the cluster and of the option." }),
  },
  {},
  { title: "Config" },
);

const LEVEL = object({ level: word(LOG_LEVELS) });
const LEVEL_CHANGE = object(
  { result: word(["applied", "unchanged"]), level: word(LOG_LEVELS) },
  {},
  { title: "LevelChange" },
);

/** What the process was told to do, and how much it says about that. */
export function configRoutes(subject: AdminSubject): readonly AdminRoute[] {
  return [
    adminRoute({
      method: "GET",
      path: "/v1/config",
      name: "getConfig",
      summary: "Shows the config in force by the names of options; secrets are left out.",
      answers: { 200: { description: "Routes are at /v1/routes.", schema: CONFIG } },
      handle: () => ok(configView(subject)),
    }),
    adminRoute({
      method: "GET",
      path: "/v1/log-level",
      name: "getLogLevel",
      summary: "Shows the level below which events are not logged.",
      answers: { 200: { description: "As of now.", schema: LEVEL } },
      errors: ["ERR_NOT_IMPLEMENTED"],
      handle: () => ok({ level: dialOf(subject).level }),
    }),
    adminRoute({
      method: "PUT",
      path: "/v1/log-level",
      name: "setLogLevel",
      summary: "Sets it, until the next reload of the config.",
      body: LEVEL,
      answers: { 200: { description: "What became of it.", schema: LEVEL_CHANGE } },
      errors: ["ERR_NOT_IMPLEMENTED"],
      handle({ body: { level } }) {
        const dial = dialOf(subject);
        if (dial.level === level) return ok({ result: "unchanged", level });
        const answer = ok({ result: "applied", level });
        if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(dial.level)) {
          dial.level = level;
          return answer;
        }
        const afterwards = () => {
          dial.level = level;
        };
        // Or nobody could read in the log who has silenced it.
        return { ...answer, afterwards };
      },
    }),
  ];
}

function dialOf({ logLevel }: AdminSubject): LogLevelDial {
  if (logLevel === undefined) throw new FnlbError("ERR_NOT_IMPLEMENTED", "this program's log has no level to be set");
  return logLevel;
}

interface ShownOption {
  readonly value: unknown;
  readonly from?: string;
}

function configView({ config: configOf, placeOf }: AdminSubject) {
  const config = configOf();
  const shown = (name: OptionName, value: unknown, cluster?: string): readonly [string, ShownOption] => {
    const from = placeOf(name, cluster);
    const visible = shownValue(name, value);
    return [name, from === undefined ? { value: visible } : { value: visible, from }];
  };
  const listeners = listenersByOption(config.listeners);
  const options = namesOf(PROCESS_OPTIONS).map((name) =>
    shown(name, listeners[name] ?? config[PROCESS_OPTIONS[name].field as keyof Config]),
  );
  const clusters = config.clusters.map((cluster) => {
    const own = namesOf(CLUSTER_OPTIONS).map((name) => {
      const value = cluster[CLUSTER_OPTIONS[name].field];
      return shown(name, name === "nodes" ? cluster.nodes.map(nodeText) : value, cluster.name);
    });
    return [cluster.name, Object.fromEntries(own)] as const;
  });
  return { options: Object.fromEntries(options), clusters: Object.fromEntries(clusters) };
}

function namesOf<Name extends string>(table: Readonly<Record<Name, unknown>>): Name[] {
  // The keys of a table.
  return Object.keys(table) as Name[];
}

/** Secrets are left out; of header rules that set one the value is. */
function shownValue(name: OptionName, value: unknown): unknown {
  const items = [value].flat();
  if (items.some((item) => typeof item === "string" && shownText(name, item) === SECRET)) return SECRET;
  if (!Array.isArray(value)) return value ?? null;
  return items.map((item) => (isHeaderRule(item) ? { ...item, value: shownFieldValue(item.name, item.value) } : item));
}

function isHeaderRule(item: unknown): item is HeaderRule {
  return typeof item === "object" && item !== null && "action" in item && "name" in item && "value" in item;
}

function nodeText({ id, weight }: { readonly id: string; readonly weight: number }): string {
  return weight === 1 ? id : `${id}=${weight}`;
}

/** Four options make one list: taken apart again. */
function listenersByOption(listeners: readonly ListenerConfig[]): Readonly<Record<string, readonly string[]>> {
  const of = (isTls: boolean, isProxied: boolean) =>
    listeners
      .filter(({ tls, proxyProtocol }) => (tls !== undefined) === isTls && proxyProtocol === isProxied)
      .map(({ address }) => listenName(address));
  return {
    listen: of(false, false),
    "proxy-listen": of(false, true),
    "tls-listen": of(true, false),
    "proxy-tls-listen": of(true, true),
  };
}
