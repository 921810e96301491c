import { badOption, parseDuration, parseSize } from "./units.js";

/** How the text of an option is read. */
export type ValueKind = "duration" | "size" | "count" | "number" | "switch" | "choice" | "text" | "list";

/** Text of an option, and where it came from as errors name it. */
export interface Given {
  /** At least one; several where an option was repeated. */
  readonly texts: readonly string[];
  /** `option "nodes"`, `environment variable FNLB_NODES`, `fnlb.yaml:3:5: option "nodes"`. */
  readonly source: string;
}

/** How one option is read and what may stand there: for types, checks, help texts and the JSON Schema alike. */
export interface ValueSpec<T> {
  readonly kind: ValueKind;
  /** Smallest and largest value, in the smallest unit. */
  readonly min?: number;
  readonly max?: number;
  /** Smallest value beside 0, which turns it off. */
  readonly minUnlessZero?: number;
  readonly choices?: readonly string[];
  /** May be given several times; each value may itself be a comma-separated list where `kind` is list. */
  readonly isRepeatable?: true;
  /** What parts repetitions in an environment variable. Default: a comma. */
  readonly separator?: string;
  /** Throws `ERR_OPTION`. */
  readonly read: (given: Given) => T;
}

interface Range {
  readonly min?: number;
  readonly max?: number;
}

/** The one value of an option that is not repeatable. */
export function single({ texts }: Given): string {
  return texts[0].trim();
}

/** The items of a comma-separated list, which may be spread over repetitions. */
export function listItems({ texts }: Given): string[] {
  const joined = texts.join(",");
  return joined.trim() === "" ? [] : joined.split(",").map((item) => item.trim());
}

/** A token of RFC 9110 §5.6.2: the name of a field or cookie. */
export const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/** A time in milliseconds. */
export function duration<R extends Range>(range: R) {
  return {
    kind: "duration",
    ...range,
    read: quantity(parseDuration, "a time up to 24 days such as 250ms, 5s or 1h", range),
  } as const;
}

/** A number of bytes. */
export function size<R extends Range>(range: R) {
  return { kind: "size", ...range, read: quantity(parseSize, "a size such as 500, 64KiB or 1MB", range) } as const;
}

/** A whole number. */
export function count<R extends Range>(range: R) {
  return { kind: "count", ...range, read: quantity(parseCount, "a whole number", range) } as const;
}

function quantity(parse: (text: string) => number | undefined, shape: string, { min = 0, max }: Range) {
  return (given: Given): number => {
    const text = single(given);
    const value = parse(text);
    if (value === undefined) throw badOption(given.source, shape, text);
    if (value < min) throw badOption(given.source, `${shape}, at least ${min}`, text);
    if (max !== undefined && value > max) throw badOption(given.source, `${shape}, at most ${max}`, text);
    return value;
  };
}

/** Digits without a sign; undefined for anything else. */
export function parseCount(text: string): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** A number from 0 to 1. */
export function share() {
  return {
    kind: "number",
    max: 1,
    read: (given: Given): number => {
      const text = single(given);
      const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
      if (!(value <= 1)) throw badOption(given.source, "a number from 0 to 1", text);
      return value;
    },
  } as const;
}

/** `true` or `false`, and what people write for them. */
export function toggle() {
  return { kind: "switch", read: readToggle } as const;
}

function readToggle(given: Given): boolean {
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

/** One of a few words. */
export function choice<const Choice extends string>(choices: readonly Choice[]) {
  return {
    kind: "choice",
    choices,
    read: (given: Given): Choice => {
      const value = single(given);
      const found = choices.find((candidate) => candidate === value);
      if (found === undefined) throw badOption(given.source, `one of ${choices.join(", ")}`, value);
      return found;
    },
  } as const;
}

/** Any text, read as it is unless `read` says more. */
export function text(): { readonly kind: "text"; readonly read: (given: Given) => string };
export function text<T>(read: (given: Given) => T): { readonly kind: "text"; readonly read: (given: Given) => T };
export function text(read: (given: Given) => unknown = single) {
  return { kind: "text", read } as const;
}

/** Comma-separated items. */
export function list<T>(read: (given: Given) => T) {
  return { kind: "list", read } as const;
}
