import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

/** The custom properties of the style sheet, those of the dark theme over those of the light one. */
function palettes(): Readonly<Record<"light" | "dark", ReadonlyMap<string, string>>> {
  const css = readFileSync("dashboard/dashboard.css", "utf8");
  const blocks = [...css.matchAll(/:root \{([^}]*)\}/g)].map(
    ([, block]) =>
      [...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name, value]) as [string, string][],
  );
  assert.equal(blocks.length, 2, "one block for each theme");
  assert.ok(css.indexOf("prefers-color-scheme: dark") < css.lastIndexOf(":root {"), "the second one is the dark theme");
  return { light: new Map(blocks[0]), dark: new Map([...blocks[0], ...blocks[1]]) };
}

/** @see WCAG 2.2, relative luminance */
function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

const TEXT = ["ink", "quiet", "good", "warn", "bad", "off", "accent"];
const SHAPES = ["edge", "accent", "bad", ...Array.from({ length: 8 }, (_, hue) => `ring-${hue}`)];

describe("the colours of the dashboard", () => {
  for (const [theme, palette] of Object.entries(palettes())) {
    const of = (name: string): string => {
      const value = palette.get(name);
      assert.ok(value !== undefined, `--${name}`);
      return value;
    };

    it(`can be read in the ${theme} theme: text at 4.5 to 1 on everything behind it (WCAG 1.4.3)`, () => {
      for (const ground of ["paper", "surface", "sunken"]) {
        for (const text of TEXT) {
          const ratio = contrast(of(text), of(ground));
          assert.ok(ratio >= 4.5, `${text} on ${ground}: ${ratio.toFixed(2)}`);
        }
      }
      assert.ok(contrast(of("on-accent"), of("accent")) >= 4.5, "buttons");
    });

    it(`can be told apart in the ${theme} theme: borders of controls, lines and arcs at 3 to 1 (WCAG 1.4.11)`, () => {
      for (const shape of SHAPES) {
        const ratio = contrast(of(shape), of("surface"));
        assert.ok(ratio >= 3, `${shape}: ${ratio.toFixed(2)}`);
      }
    });
  }

  it("knows black on white", () => {
    assert.equal(contrast("#000000", "#ffffff").toFixed(2), "21.00");
  });
});
