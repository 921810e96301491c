/** Figures as people read them. */

/** `950 µs`, `12.3 ms`, `1.2 s`; `-` where there is none. */
export function latencyText(milliseconds: number | null | undefined): string {
  if (milliseconds === null || milliseconds === undefined) return "-";
  if (milliseconds < 1) return `${Math.round(milliseconds * 1000)} µs`;
  if (milliseconds < 1000) return `${threeDigits(milliseconds)} ms`;
  return `${threeDigits(milliseconds / 1000)} s`;
}

/** In a second: `0`, `0.5`, `12.3`, `4830`. */
export function rateText(perSecond: number | undefined): string {
  return perSecond === undefined ? "-" : threeDigits(perSecond);
}

/** `42s`, `3m 20s`, `2h 5m`, `4d 1h`. */
export function ageText(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ] as const;
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return "0s";
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value}${unit}`)
    .join(" ");
}

/** "1 node", "2 nodes". */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function threeDigits(value: number): string {
  return String(value < 100 ? Number(value.toPrecision(3)) : Math.round(value));
}
