/** Text for a terminal: how many cells it takes, cut to fit, and without what would command the terminal. */

const GRAPHEMES = new Intl.Segmenter("en", { granularity: "grapheme" });
/** What takes no cell of its own. */
const ZERO = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
/** First and last code points of what Unicode's East Asian Width calls wide or fullwidth, emoji among them. */
const WIDE: readonly (readonly [first: number, last: number])[] = [
  [0x1100, 0x115f],
  [0x231a, 0x231b],
  [0x23e9, 0x23ec],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1faff],
  [0x20000, 0x3fffd],
];

/** Cells of a terminal. */
export function textWidth(text: string): number {
  // Almost everything is ASCII, and asked for in each frame.
  if (/^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of GRAPHEMES.segment(text)) width += graphemeWidth(segment);
  return width;
}

function graphemeWidth(grapheme: string): number {
  const first = grapheme.codePointAt(0) ?? 0;
  if (ZERO.test(String.fromCodePoint(first))) return 0;
  // Asked to be an emoji, as in a heart with a variation selector.
  if (grapheme.includes("\ufe0f")) return 2;
  return WIDE.some(([low, high]) => first >= low && first <= high) ? 2 : 1;
}

/** The text in at most `width` cells, with an ellipsis where something is missing. */
export function cutText(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let cut = "";
  let used = 0;
  for (const { segment } of GRAPHEMES.segment(text)) {
    used += graphemeWidth(segment);
    if (used > width - 1) break;
    cut += segment;
  }
  return width > 0 ? `${cut}…` : "";
}

/** In one line, and nothing in it that a terminal would obey: names and messages come from elsewhere. */
export function plainText(text: string): string {
  return text
    .replaceAll(/\s+/g, " ")
    .replaceAll(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, "\ufffd")
    .trim();
}
