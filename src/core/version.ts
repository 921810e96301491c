/** A version of Semantic Versioning 2.0.0; build metadata is dropped, for it has no precedence (§10). */
export interface Version {
  /** Major, minor and patch as digits without leading zeros: numbers of any length stay exact. */
  readonly numbers: readonly [string, string, string];
  /** Identifiers of the pre-release in order; none for a release. */
  readonly prerelease: readonly string[];
}

/** No honest version is longer; what a node claims to be ends up in log lines. */
const LENGTH_MAX = 256;

const NUMBER = String.raw`0|[1-9]\d*`;
const PRERELEASE = String.raw`(?:${NUMBER}|\d*[a-zA-Z-][0-9a-zA-Z-]*)`;
const BUILD = "[0-9a-zA-Z-]+";
const VERSION = new RegExp(
  String.raw`^(${NUMBER})\.(${NUMBER})\.(${NUMBER})(?:-(${PRERELEASE}(?:\.${PRERELEASE})*))?(?:\+${BUILD}(?:\.${BUILD})*)?$`,
);
const DIGITS = /^\d+$/;

/**
 * Reads a version strictly (semver.org §2, §9, §10): no `v` in front, no blanks, no leading zeros, all three numbers.
 * Undefined for everything else, and for more than 256 characters.
 */
export function parseVersion(text: string): Version | undefined {
  if (text.length > LENGTH_MAX) return undefined;
  const match = VERSION.exec(text);
  if (match === null) return undefined;
  const [, major, minor, patch, prerelease] = match;
  return { numbers: [major, minor, patch], prerelease: prerelease === undefined ? [] : prerelease.split(".") };
}

/** Precedence (semver.org §11): negative when `a` comes before `b`, 0 when neither does. */
export function compareVersions(a: Version, b: Version): number {
  for (let index = 0; index < a.numbers.length; index++) {
    const order = compareNumbers(a.numbers[index], b.numbers[index]);
    if (order !== 0) return order;
  }
  const shared = Math.min(a.prerelease.length, b.prerelease.length);
  // A release comes behind all of its pre-releases.
  if (shared === 0) return b.prerelease.length - a.prerelease.length;
  for (let index = 0; index < shared; index++) {
    const order = compareIdentifiers(a.prerelease[index], b.prerelease[index]);
    if (order !== 0) return order;
  }
  return a.prerelease.length - b.prerelease.length;
}

/** Numeric identifiers come before all others. */
function compareIdentifiers(a: string, b: string): number {
  const isNumber = DIGITS.test(a);
  if (isNumber !== DIGITS.test(b)) return isNumber ? -1 : 1;
  return isNumber ? compareNumbers(a, b) : compareText(a, b);
}

/** Digits without leading zeros: the longer number is the larger one. */
function compareNumbers(a: string, b: string): number {
  return a.length - b.length || compareText(a, b);
}

/** All characters of a version are ASCII, so that the order of code units is the one that is asked for. */
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
