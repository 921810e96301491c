import assert from "node:assert/strict";

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"/;
const NUMBER = /^(?:[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]Inf|NaN)$/;
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: [""],
  gauge: [""],
  histogram: ["_bucket", "_sum", "_count"],
};

/**
 * Reads the text formats 0.0.4 and OpenMetrics 1.0.0 as strictly as both are meant together: HELP and TYPE before the
 * samples of a family, each family in one place, no sample twice, whole histograms. Throws for anything else.
 */
export function parseExposition(text: string, format: "prometheus" | "openmetrics" = "prometheus"): Family[] {
  assert.ok(text.endsWith("\n"), "the last line has an end");
  const lines = text.slice(0, -1).split("\n");
  if (format === "openmetrics") assert.equal(lines.pop(), "# EOF");
  const families = new Map<string, { help: string; type: string; samples: Sample[] }>();
  const seen = new Set<string>();
  let current = "";
  for (const line of lines) {
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (comment !== null) {
      const [, kind, name, rest] = comment;
      assert.equal(NAME.exec(name)?.[0], name);
      if (kind === "HELP") {
        assert.ok(!families.has(name), `${name} is in two places`);
        assert.doesNotMatch(rest, /\\(?![\\n])/);
        families.set(name, { help: rest, type: "", samples: [] });
        current = name;
      } else {
        assert.equal(name, current, "TYPE follows HELP");
        assert.ok(rest in SUFFIXES, `type ${rest}`);
        (families.get(name) as { type: string }).type = rest;
      }
      continue;
    }
    const family = families.get(current);
    assert.ok(family !== undefined && family.type !== "", `a sample without a family: ${line}`);
    const sample = parseSample(line);
    const base = format === "openmetrics" && family.type === "counter" ? `${current}_total` : current;
    const suffixes = SUFFIXES[family.type].map((suffix) => base + suffix);
    assert.ok(suffixes.includes(sample.name), `${sample.name} among the samples of ${current}`);
    if (family.type === "counter") {
      assert.match(sample.name, /_total$/);
      assert.ok(sample.value >= 0);
    }
    const key = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`;
    assert.ok(!seen.has(key), `twice: ${line}`);
    seen.add(key);
    family.samples.push(sample);
  }
  return [...families].map(([name, family]) => {
    if (family.type === "histogram") assertWhole(name, family.samples);
    return { name, ...family };
  });
}

function parseSample(line: string): Sample {
  const name = NAME.exec(line)?.[0];
  assert.ok(name !== undefined, `no sample: ${line}`);
  const labels: Record<string, string> = {};
  let rest = line.slice(name.length);
  if (rest.startsWith("{")) {
    do {
      const label = LABEL.exec(rest.slice(1));
      assert.ok(label !== null, `bad labels: ${line}`);
      assert.ok(!Object.hasOwn(labels, label[1]), `a label twice: ${line}`);
      labels[label[1]] = label[2].replaceAll(/\\(.)/g, (_, mark: string) => (mark === "n" ? "\n" : mark));
      rest = rest.slice(1 + label[0].length);
    } while (rest.startsWith(","));
    assert.ok(rest.startsWith("}"), `open labels: ${line}`);
    rest = rest.slice(1);
  }
  assert.ok(rest.startsWith(" "), `no value: ${line}`);
  const text = rest.slice(1);
  assert.match(text, NUMBER, line);
  return { name, labels, value: numberOf(text) };
}

function numberOf(text: string): number {
  return text.endsWith("Inf") ? Number(text.replace("Inf", "Infinity")) : Number(text);
}

/** Every series has its buckets in order, counts that never fall, a last one for all, and a count that says the same. */
function assertWhole(name: string, samples: readonly Sample[]): void {
  const series = new Map<string, Sample[]>();
  for (const sample of samples) {
    const { le: _, ...labels } = sample.labels;
    const key = JSON.stringify(labels);
    series.set(key, [...(series.get(key) ?? []), sample]);
  }
  for (const [key, parts] of series) {
    const buckets = parts.filter((part) => part.name === `${name}_bucket`);
    const others = parts.filter((part) => part.name !== `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => numberOf(labels.le));
    const counts = buckets.map(({ value }) => value);
    assert.deepEqual(
      bounds,
      [...new Set(bounds)].sort((one, other) => one - other),
      key,
    );
    assert.equal(bounds.at(-1), Number.POSITIVE_INFINITY, key);
    assert.deepEqual(
      counts,
      [...counts].sort((one, other) => one - other),
      key,
    );
    assert.deepEqual(others.map((part) => part.name).sort(), [`${name}_count`, `${name}_sum`], key);
    assert.equal(others.find((part) => part.name === `${name}_count`)?.value, counts.at(-1), key);
  }
}

/** The value of the only sample of that name with these labels, others are not looked at. Throws if there is none or more. */
export function sampleValue(
  families: readonly Family[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const found = families
    .flatMap(({ samples }) => samples)
    .filter((sample) => sample.name === name)
    .filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value));
  assert.equal(found.length, 1, `${found.length} samples ${name} ${JSON.stringify(labels)}`);
  return found[0].value;
}

/** Of all samples of that name with these labels. */
export function sumOf(
  families: readonly Family[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  return families
    .flatMap(({ samples }) => samples)
    .filter((sample) => sample.name === name)
    .filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
    .reduce((sum, { value }) => sum + value, 0);
}
