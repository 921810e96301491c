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

/** Red, green and blue, each of 1 and as light adds up. */
function linear(colour: string): readonly number[] {
  return [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
}

/** @see WCAG 2.2, relative luminance */
function luminance(colour: string): number {
  const [red, green, blue] = linear(colour);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

/**
 * What people see who have no cones for red (protanopia) or none for green (deuteranopia).
 *
 * @see Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision Deficiency, 2009
 */
const EYES: Readonly<Record<string, readonly (readonly number[])[]>> = {
  "most people": [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
};

const times = (rows: readonly (readonly number[])[], values: readonly number[]) =>
  rows.map((row) => row.reduce((sum, factor, index) => sum + factor * values[index], 0));

/** In Oklab, where equal distances look equally far apart: black and white are 1 apart. */
function seen(colour: string, eyes: string): readonly number[] {
  const light = times(EYES[eyes], linear(colour)).map((share) => Math.min(1, Math.max(0, share)));
  const cones = times(
    [
      [0.4122214708, 0.5363325363, 0.0514459929],
      [0.2119034982, 0.6806995451, 0.1073969566],
      [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    light,
  ).map(Math.cbrt);
  return times(
    [
      [0.2104542553, 0.793617785, -0.0040720468],
      [1.9779984951, -2.428592205, 0.4505937099],
      [0.0259040371, 0.7827717662, -0.808675766],
    ],
    cones,
  );
}

function apart(one: string, other: string, eyes: string): number {
  const from = seen(other, eyes);
  return Math.hypot(...seen(one, eyes).map((value, index) => value - from[index]));
}

const TEXT = ["ink", "quiet", "good", "warn", "bad", "off", "accent"];
const HUES = Array.from({ length: 8 }, (_, hue) => `ring-${hue}`);
const SHAPES = ["edge", "accent", "bad", ...HUES];
/** Twice what is just told apart where two colours do not touch. */
const APART = 0.1;

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

    it(`tell nodes apart in the ${theme} theme, for colour-blind eyes as well`, () => {
      for (const eyes of Object.keys(EYES)) {
        HUES.forEach((one, index) => {
          for (const other of HUES.slice(index + 1)) {
            const distance = apart(of(one), of(other), eyes);
            assert.ok(distance >= APART, `${one} and ${other}, ${eyes}: ${distance.toFixed(3)}`);
          }
        });
      }
    });
  }

  it("knows black on white", () => {
    assert.equal(contrast("#000000", "#ffffff").toFixed(2), "21.00");
    assert.equal(apart("#000000", "#ffffff", "most people").toFixed(2), "1.00");
  });
});
