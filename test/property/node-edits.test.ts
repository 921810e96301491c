import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { ChangeResult, EditCondition } from "../../src/core/operations.js";
import { FORGOTTEN, type NodeChange } from "../../src/core/registry.js";
import type { ErrorCode } from "../../src/errors.js";
import { localNode, oneCluster, startBalancer } from "../support/balancer.js";

/** Nodes that nobody asks anything: ports are names here. */
const PORTS = [1, 2, 3, 4, 5];
const idOf = (port: number) => `127.0.0.1:${port}`;

interface Step {
  readonly port: number;
  readonly change: Omit<NodeChange, "id">;
  readonly condition: EditCondition;
}

const weight = fc.constantFrom(0, 0.5, 1, 2, 7);
const mode = fc.constantFrom("active" as const, "draining" as const, "disabled" as const);
const change = fc.oneof(
  fc.record(
    { presence: fc.constant("added" as const), weight: fc.option(weight), mode },
    { requiredKeys: ["presence"] },
  ),
  fc.record({ weight: fc.option(weight), mode }, { requiredKeys: [] }),
  fc.constantFrom({ presence: "removed" as const }, { presence: null }, FORGOTTEN),
);
const step: fc.Arbitrary<Step> = fc.record({
  port: fc.constantFrom(...PORTS),
  change,
  condition: fc.constantFrom({}, {}, {}, { expects: "present" as const }, { expects: "absent" as const }),
});
/** A config of its own: which of the nodes it lists, and with which weight. */
const listing = fc.uniqueArray(fc.tuple(fc.constantFrom(...PORTS), weight), { selector: ([port]) => port });

/** What the operators' words come to, written down as plainly as can be. */
class Model {
  listed: ReadonlyMap<number, number> = new Map();
  /** By node; "" where nothing was said. */
  readonly presences = new Map<number, "added" | "removed">();
  readonly weights = new Map<number, number>();
  readonly modes = new Map<number, "draining" | "disabled">();

  isThere(port: number): boolean {
    const presence = this.presences.get(port);
    return presence === undefined ? this.listed.has(port) : presence === "added";
  }

  #isKnown(port: number): boolean {
    return this.listed.has(port) || [this.presences, this.weights, this.modes].some((said) => said.has(port));
  }

  /** What everybody sees of a node; of one that is away, what was said about it. */
  view(port: number): unknown {
    const presence = this.presences.get(port);
    if (presence === "removed") return "removed";
    if (!this.isThere(port)) return ["away", this.weights.get(port), this.modes.get(port)];
    return [this.weights.get(port) ?? this.listed.get(port) ?? 1, this.modes.get(port) ?? "active"];
  }

  said(port: number): unknown {
    return [this.presences, this.weights, this.modes].map((said) => said.get(port));
  }

  make({ port, change: said, condition: { expects } }: Step): ChangeResult | ErrorCode {
    if (expects === "absent" && this.isThere(port)) return "ERR_CONFLICT";
    if (expects === "present" && !this.isThere(port)) return "ERR_NOT_FOUND";
    if (said.presence !== "added" && !this.#isKnown(port)) return "ERR_NOT_FOUND";
    if (said.presence === undefined && this.presences.get(port) === "removed") return "ERR_NOT_FOUND";
    // Who takes something back asks about what was said.
    const seen = () => JSON.stringify(said.presence === null ? this.said(port) : this.view(port));
    const before = seen();
    if (said.presence === null) this.presences.delete(port);
    else if (said.presence !== undefined) this.presences.set(port, said.presence);
    if (said.weight === null || said.presence === "removed") this.weights.delete(port);
    else if (said.weight !== undefined) this.weights.set(port, said.weight);
    if (said.mode === "active" || said.presence === "removed") this.modes.delete(port);
    else if (said.mode !== undefined) this.modes.set(port, said.mode);
    return seen() === before ? "unchanged" : "applied";
  }

  /** In the order of the config, then by id. */
  get nodes(): unknown[] {
    const others = PORTS.filter((port) => !this.listed.has(port)).sort();
    return [...this.listed.keys(), ...others]
      .filter((port) => this.isThere(port))
      .map((port) => [
        idOf(port),
        this.weights.get(port) ?? this.listed.get(port) ?? 1,
        this.modes.get(port) ?? "active",
        this.listed.has(port) ? "config" : "operator",
      ]);
  }
}

describe("edits of nodes", () => {
  it("come to what was said, one after the other and over reloads, and tell what has changed", async (t) => {
    const plan = fc.array(fc.oneof({ weight: 8, arbitrary: step }, { weight: 1, arbitrary: listing }), {
      maxLength: 40,
    });
    const outcomes = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(listing, plan, async (first, steps) => {
        const nodes = (listed: readonly (readonly [number, number])[]) =>
          listed.map(([port, weighs]) => localNode(port, weighs));
        const { balancer, config } = await startBalancer(t, { nodes: nodes(first) });
        const model = new Model();
        model.listed = new Map(first);
        for (const one of steps) {
          if (Array.isArray(one)) {
            await balancer.reload(oneCluster({ ...config, nodes: nodes(one) }));
            model.listed = new Map(one);
          } else {
            const said = { id: idOf(one.port), ...one.change };
            const outcome = await balancer
              .editNode("default", said, one.condition)
              .catch(({ code }: { readonly code: ErrorCode }) => code);
            assert.equal(outcome, model.make(one), JSON.stringify(one));
            outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
          }
          assert.deepEqual(
            balancer.snapshot().nodes.map((node) => [node.id, node.weight, node.mode, node.origin]),
            model.nodes,
          );
        }
        await balancer.close();
      }),
      { numRuns: 60 },
    );
    for (const outcome of ["applied", "unchanged", "ERR_NOT_FOUND", "ERR_CONFLICT"]) {
      assert.ok((outcomes.get(outcome) ?? 0) > 20, `${outcome}: ${outcomes.get(outcome)}`);
    }
  });

  it("that are made at once tell one of them alone that it changed something", async (t) => {
    const edits: readonly (readonly [NodeChange, EditCondition])[] = [
      [{ id: idOf(2), presence: "added" }, {}],
      [{ id: idOf(3), presence: "added" }, { expects: "absent" }],
      [{ id: idOf(1), weight: 5 }, { expects: "present" }],
      [{ id: idOf(1), mode: "draining" }, {}],
      [{ id: idOf(1), presence: "removed" }, {}],
    ];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...edits), fc.integer({ min: 2, max: 9 }), async ([said, condition], count) => {
        const { balancer } = await startBalancer(t, { nodes: [1] });
        const outcomes = await Promise.all(
          Array.from({ length: count }, () =>
            balancer.editNode("default", said, condition).catch(({ code }: { readonly code: ErrorCode }) => code),
          ),
        );
        const others = condition.expects === "absent" ? "ERR_CONFLICT" : "unchanged";
        assert.deepEqual(outcomes.sort(), ["applied", ...Array<string>(count - 1).fill(others)].sort());
        await balancer.close();
      }),
      { numRuns: 20 },
    );
  });
});
