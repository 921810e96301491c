/** What a list of statuses looks like, for error messages and help. */
export const STATUSES_SHAPE = "comma-separated statuses from 100 to 599 or ranges of them, such as 200-299,404";

const STATUS_MIN = 100;
const STATUS_MAX = 599;

/** Reads `200-299,404` as ranges with both ends included; undefined when it is no such list. */
export function parseStatuses(text: string): readonly (readonly [number, number])[] | undefined {
  const ranges: (readonly [number, number])[] = [];
  for (const item of text.split(",")) {
    const match = /^(\d{3})(?:\s*-\s*(\d{3}))?$/.exec(item.trim());
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (first < STATUS_MIN || last > STATUS_MAX || last < first) return undefined;
    ranges.push([first, last]);
  }
  return ranges;
}
