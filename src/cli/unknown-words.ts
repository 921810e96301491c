/** Farther ones are other words. */
const DISTANCE_MAX = 2;

/**
 * What yargs says of arguments that it does not know, with the dashes that it leaves out, and with the word among `known` that
 * may have been meant; other complaints as they are.
 */
export function clearerComplaint(message: string, args: readonly string[], known: readonly string[]): string {
  const names = /^Unknown arguments?: (.*)$/s.exec(message)?.[1].split(", ");
  if (names === undefined) return message;
  const written = names.map((name) => args.find((arg) => arg.replace(/=.*$/s, "") === `--${name}`) ?? name);
  const shown = written.map((word) => word.replace(/(?<=^--[^=]+)=.*$/s, ""));
  const meant = nearestOf(shown[0], known);
  const hint = meant === undefined ? "" : `; did you mean ${meant}?`;
  return `Unknown argument${shown.length > 1 ? "s" : ""}: ${shown.join(", ")}${hint}`;
}

function nearestOf(word: string, known: readonly string[]): string | undefined {
  let nearest: string | undefined;
  // Short words are near to everything.
  let least = Math.min(DISTANCE_MAX, word.length - 1) + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - word.length) >= least) continue;
    const distance = distanceOf(word, candidate);
    if (distance >= least) continue;
    nearest = candidate;
    least = distance;
  }
  return nearest;
}

/** Of Levenshtein: how many letters are put in, left out or replaced. */
function distanceOf(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...one].entries()) {
    const next = [index + 1];
    for (let at = 1; at <= other.length; at++) {
      const replaced = row[at - 1] + (letter === other[at - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[at] + 1, next[at - 1] + 1));
    }
    row = next;
  }
  return row[other.length];
}
