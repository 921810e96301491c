import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import { parse } from "yaml";
import { metricsText } from "../../src/admin/metrics/metrics.js";
import { ClusterStats } from "../../src/core/cluster-stats.js";
import { HTTP_STATUS } from "../../src/errors.js";
import { readRuntime } from "../../src/system/runtime-meter.js";
import { startBalancer } from "../support/balancer.js";
import { type Family, parseExposition } from "../support/exposition.js";
import { startRawOrigin } from "../support/raw-origin.js";

/** Everything that there can be, problems of every code and a source of nodes included. */
async function everything(t: TestContext): Promise<Family[]> {
  const { port } = await startRawOrigin(t);
  const { balancer } = await startBalancer(t, { nodes: [port] });
  const snapshot = balancer.snapshot();
  const stats = new ClusterStats();
  for (const code of Object.keys(HTTP_STATUS) as (keyof typeof HTTP_STATUS)[]) stats.noteProblem(code);
  const discovery = { source: "dns:fn:80", trouble: undefined };
  const clusters = snapshot.clusters.map((cluster) => ({ ...cluster, stats, discovery }));
  return parseExposition(
    metricsText({
      snapshot: { ...snapshot, clusters, certificates: [{ file: "fn.crt", validUntilMs: 1 }] },
      runtime: readRuntime(),
      version: "1.2.3",
    }),
  );
}

function labelsOf({ samples }: Family): string[] {
  return [...new Set(samples.flatMap(({ labels }) => Object.keys(labels)))].filter((label) => label !== "le");
}

/** Labels that Prometheus itself adds. */
const ADDED = ["instance", "job"];

/** Requires that every family, label and label value that a PromQL expression names exists. */
function assertKnown(families: readonly Family[], expression: string): void {
  const names = [...expression.matchAll(/\b((?:fnlb|process)_\w+)(?:\{([^}]*)\})?/g)];
  assert.ok(names.length > 0, `no metric in ${expression}`);
  for (const [, name, selector = ""] of names) {
    const family = families.find(({ samples }) => samples.some((sample) => sample.name === name));
    assert.ok(family !== undefined, `${name} in ${expression}`);
    for (const part of selector.split(",").filter((text) => text !== "")) {
      const match = /^(\w+)(=~|!=|=)"([^"]*)"$/.exec(part);
      assert.ok(match !== null, `selector ${part} in ${expression}`);
      const [, label, operator, value] = match;
      if (ADDED.includes(label)) continue;
      const values = family.samples.map(({ labels }) => labels[label]);
      assert.ok(values[0] !== undefined, `${name} has no label ${label}`);
      if (value.startsWith("$")) continue;
      // Each alternative must be there: one that never matches is a typing error.
      for (const one of operator === "=~" ? value.split("|") : [value]) {
        const pattern = new RegExp(`^(?:${operator === "=~" ? one : one.replaceAll(/\W/g, "\\$&")})$`);
        assert.ok(
          values.some((candidate) => pattern.test(candidate)),
          `${name}{${label}="${one}"}`,
        );
      }
    }
  }
  const open = [...expression].filter((mark) => mark === "(").length;
  assert.equal([...expression].filter((mark) => mark === ")").length, open, `brackets in ${expression}`);
  for (const [, by] of expression.matchAll(/\b(?:by|without|on|ignoring) \(([^)]*)\)/g)) {
    const known = families.flatMap(({ samples }) => samples.flatMap(({ labels }) => Object.keys(labels)));
    for (const label of by.split(",").map((text) => text.trim())) {
      assert.ok(label === "" || ADDED.includes(label) || known.includes(label), `label ${label} in ${expression}`);
    }
  }
  if (expression.includes("histogram_quantile")) assert.match(expression, /by \([^)]*\ble\b[^)]*\)/);
  // A rate of what is no counter says nothing, and neither does a counter without one.
  for (const [, name] of expression.matchAll(/\b(?:rate|increase)\s*\(\s*(\w+)/g))
    assert.match(name, /_(?:total|bucket)$/);
}

describe("the page on metrics", () => {
  it("has every family with its type and labels, and no other", async (t) => {
    const rows = readFileSync("docs/metrics.md", "utf8").matchAll(
      /^\| `((?:fnlb|process)_\w+)` \| (\w+) \| (.*?) \| .+ \|$/gm,
    );
    const told = [...rows].map(([, name, type, labels]) => [
      name,
      type,
      [...labels.matchAll(/`(\w+)`/g)].map(([, it]) => it),
    ]);
    const there = (await everything(t)).map((family) => [family.name, family.type, labelsOf(family)]);
    const byName = (one: unknown[], other: unknown[]) => (String(one[0]) < String(other[0]) ? -1 : 1);
    assert.deepEqual(told.sort(byName), there.sort(byName));
  });

  it("names every value of a label whose values are a closed set", async (t) => {
    const page = readFileSync("docs/metrics.md", "utf8");
    const closed = ["state", "reason", "to", "by"];
    for (const { samples, name } of await everything(t)) {
      for (const { labels } of samples) {
        for (const [label, value] of Object.entries(labels)) {
          if (closed.includes(label)) assert.ok(page.includes(`\`${value}\``), `${name}{${label}="${value}"}`);
        }
      }
    }
  });
});

interface Dashboard {
  readonly title: string;
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly definition?: string }[];
  };
  readonly panels: readonly {
    readonly id: number;
    readonly type: string;
    readonly title: string;
    readonly datasource?: { readonly uid: string };
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

describe("the dashboard", () => {
  const { panels, templating } = JSON.parse(readFileSync("docs/grafana/fnlb.json", "utf8")) as Dashboard;

  it("asks for metrics that exist, of the data source that is chosen", async (t) => {
    const families = await everything(t);
    const variables = new Set(templating.list.map(({ name }) => name));
    assert.ok(templating.list.some(({ name, type }) => name === "datasource" && type === "datasource"));
    for (const { definition } of templating.list) if (definition !== undefined) assertKnown(families, definition);
    for (const { type, title, datasource, targets = [] } of panels) {
      if (type === "row") continue;
      assert.equal(datasource?.uid.replace(/^\$\{(\w+)\}$/, "chosen by $1"), "chosen by datasource", title);
      assert.ok(targets.length > 0, title);
      for (const { expr, legendFormat } of targets) {
        assertKnown(families, expr);
        for (const [, name] of expr.matchAll(/\$(\w+)/g)) assert.ok(name.startsWith("__") || variables.has(name), name);
        for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
          assert.ok(expr.includes(label) || !/\bby \(|^sum \(/.test(expr), `${title}: ${label}`);
        }
      }
    }
  });

  it("has panels with ids of their own that do not lie on one another", () => {
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const cells = new Set<string>();
    for (const { gridPos, title } of panels) {
      assert.ok(gridPos.x + gridPos.w <= 24, title);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.ok(!cells.has(`${x} ${y}`), title);
          cells.add(`${x} ${y}`);
        }
      }
    }
  });
});

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly for?: string;
      readonly labels: { readonly severity: string };
      readonly annotations: { readonly summary: string };
    }[];
  }[];
}

describe("the alerts", () => {
  const { groups } = parse(readFileSync("docs/alerts.yaml", "utf8")) as Rules;
  const rules = groups.flatMap((group) => group.rules);

  it("go by metrics, labels and values that exist", async (t) => {
    const families = await everything(t);
    assert.ok(rules.length > 10);
    for (const { expr } of rules) assertKnown(families, expr);
  });

  it("have names of their own, a severity, and a sentence whose labels the expression keeps", () => {
    assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
    for (const { alert, expr, for: pending = "1m", labels, annotations } of rules) {
      assert.match(alert, /^Fnlb[A-Z]/);
      assert.match(pending, /^\d+[smh]$/);
      assert.ok(["warning", "critical"].includes(labels.severity), alert);
      assert.match(annotations.summary, /\.$/);
      for (const [, label] of annotations.summary.matchAll(/\$labels\.(\w+)/g)) {
        const kept = expr.match(/\bby \(([^)]*)\)/)?.[1];
        if (kept !== undefined) assert.ok(kept.split(/, */).includes(label), `${alert}: ${label}`);
      }
    }
  });
});
