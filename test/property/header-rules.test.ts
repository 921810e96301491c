import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { HeaderRule } from "../../src/core/header-rule.js";
import { FnlbError } from "../../src/errors.js";
import { compileHeaderRules, type HeaderEdits, type HeaderRuleScope } from "../../src/http1/header-rules.js";
import { HeadResult, RequestHead } from "../../src/http1/request-head.js";
import { ResponseHead } from "../../src/http1/response-head.js";
import { forwardedNames } from "../../src/proxy/forwarded.js";
import { DEFAULTS } from "../support/balancer.js";
import { CLIENT, forwardRequests, NODE, relayResponse } from "../support/codec.js";
import { REQUESTS, RESPONSES } from "../support/corpus.js";
import { built, builtResponse, fieldName, fieldsOf } from "../support/messages.js";

const SEED = 20_240_301;
const RUNS = 3000;

type Fields = readonly (readonly [string, string])[];

/** A rule, and what its value becomes when placeholders are filled in. */
interface RuleMade {
  readonly rule: HeaderRule;
  fillIn(values: Readonly<Record<string, string>>): string;
}

const text = fc.oneof(
  fc.constantFrom("a", " ", "\t", "close", "chunked", ", ", ";", '"', "}", "\u010a", "ü", "\u{1f600}"),
  fc.string({ maxLength: 6 }).map((some) => some.replaceAll("{", "").replace(/[^ -~]/g, "")),
);
/** As they are written, and what is meant. */
const valuePiece = fc.oneof(
  text.map((plain) => [plain, plain] as const),
  fc.constantFrom(["{{", "{"] as const, ["{client}", "client"] as const),
  fc.constantFrom(["{host}", "host"] as const, ["{node}", "node"] as const),
);
const NAMES = ["X", "accept", "Cookie", "X-New", "A", "Trailer", "Connection", "Content-Length", "Via", "Host", "TE"];
const ruleMade: fc.Arbitrary<RuleMade> = fc
  .record({
    action: fc.constantFrom("set" as const, "add" as const, "remove" as const),
    name: fc.oneof(fc.constantFrom(...NAMES), fieldName),
    pieces: fc.array(valuePiece, { maxLength: 4 }),
  })
  .map(({ action, name, pieces }) => ({
    rule: { action, name, value: action === "remove" ? "" : pieces.map(([written]) => written).join("") },
    fillIn: (values) => {
      const filled = pieces
        .map(([written, meant]) => (/^\{\w/.test(written) ? (values[meant] ?? "?") : meant))
        .join("");
      // A field value begins and ends with no blank, whatever a rule says.
      return Buffer.from(filled.replace(/^[ \t]+|[ \t]+$/g, "")).toString("latin1");
    },
  }));
const rulesMade = fc.array(ruleMade, { minLength: 1, maxLength: 5 });

/** Those rules among them that are not refused, compiled; each is judged for itself. */
function accepted(made: readonly RuleMade[], scope: HeaderRuleScope): [readonly RuleMade[], HeaderEdits | undefined] {
  const kept = made.filter(({ rule }) => {
    try {
      compileHeaderRules([rule], scope);
      return true;
    } catch (error) {
      assert.ok(error instanceof FnlbError && error.code === "ERR_OPTION");
      return false;
    }
  });
  return [
    kept,
    compileHeaderRules(
      kept.map(({ rule }) => rule),
      scope,
    ),
  ];
}

const inLowerCase = (name: string) => name.toLowerCase();
/** Some servers take `X_Y` for `X-Y`: no rule for a request leaves one of them behind. */
const withoutUnderscores = (name: string) => name.toLowerCase().replaceAll("_", "-");

/** What rules make of the fields that would be sent without them. */
function expected(
  fields: Fields,
  made: readonly RuleMade[],
  values: Readonly<Record<string, string>>,
  sameName: (name: string) => string,
): Fields {
  let left = fields;
  for (const { rule, fillIn } of made) {
    const isOther = ([name]: readonly [string, string]) => sameName(name) !== sameName(rule.name);
    if (rule.action !== "add") left = left.filter(isOther);
    if (rule.action !== "remove") left = [...left, [rule.name, fillIn(values)]];
  }
  return left;
}

/** Requires the same fields: those that no rule names in the same order, and those of each name among themselves. */
function assertFields(seen: Fields, wanted: Fields, made: readonly RuleMade[], shown: string): void {
  const ruled = new Set(made.map(({ rule }) => rule.name.toLowerCase()));
  const untouched = (fields: Fields) => fields.filter(([name]) => !ruled.has(name.toLowerCase()));
  assert.deepEqual(untouched(seen), untouched(wanted), shown);
  for (const name of ruled) {
    const called = (fields: Fields) => fields.filter(([own]) => own.toLowerCase() === name);
    assert.deepEqual(called(seen), called(wanted), shown);
  }
}

/** The target without the first `stripBytes` of its path. */
function stripped(target: string, stripBytes: number): string {
  const query = target.indexOf("?");
  const path = query < 0 ? target : target.slice(0, query);
  const rest = path.slice(stripBytes);
  return (rest.startsWith("/") ? rest : `/${rest}`) + target.slice(path.length);
}

const SHOWN = (bytes: Buffer) => JSON.stringify(bytes.toString("latin1"));

describe("random header rules and prefixes", () => {
  it("change the fields and the path that they name in requests, and nothing else", () => {
    const scope: HeaderRuleScope = { message: "request", reserved: forwardedNames(DEFAULTS) };
    const message = fc.oneof(built, fc.constantFrom(...REQUESTS.map(([, bytes]) => bytes)));
    const head = new RequestHead(DEFAULTS);
    let checked = 0;
    fc.assert(
      fc.property(message, rulesMade, fc.constantFrom(0, 0, 1, 2, 5, 100), (bytes, made, stripBytes) => {
        const [kept, edits] = accepted(made, scope);
        const received = Buffer.from(bytes, "latin1");
        const plain = forwardRequests([received]);
        const ruled = forwardRequests([received], { edits, stripBytes });
        assert.deepEqual([ruled.refusal, ruled.requests.length], [plain.refusal, plain.requests.length]);
        for (const [index, before] of plain.requests.entries()) {
          if (before.target === "*") continue;
          checked++;
          const after = ruled.requests[index];
          const shown = SHOWN(after.bytes);
          assert.equal(head.parse(after.bytes, 0, after.bytes.length), HeadResult.DONE, shown);
          assert.equal(head.end, after.headBytes, shown);
          const framing = [
            head.framing,
            head.contentLength,
            head.acceptsTrailers,
            head.wantsUpgrade,
            head.isPersistent,
          ];
          const [line, sent] = [
            after.bytes.toString("latin1", head.start, head.lineEnd),
            fieldsOf(after.bytes.toString("latin1", head.start, head.end)),
          ];
          head.parse(before.bytes, 0, before.bytes.length);
          assert.deepEqual(
            framing,
            [head.framing, head.contentLength, head.acceptsTrailers, head.wantsUpgrade, head.isPersistent],
            shown,
          );
          assert.equal(line, `${before.method} ${stripped(before.target, stripBytes)} HTTP/1.1\r\n`);
          assert.deepEqual(after.bytes.subarray(after.headBytes), before.bytes.subarray(before.headBytes), shown);
          const fields = fieldsOf(before.bytes.toString("latin1", head.start, head.end));
          const host = fields.find(([name]) => name === "X-Forwarded-Host")?.[1] ?? "";
          // The codec's node is called so.
          const values = { client: CLIENT, host, node: "node" };
          assertFields(sent, expected(fields, kept, values, withoutUnderscores), kept, shown);
        }
      }),
      { seed: SEED, numRuns: RUNS },
    );
    assert.ok(checked > RUNS / 3, `only ${checked} were accepted`);
  });

  it("change the fields that they name in final responses, and nothing else", () => {
    const message = fc.oneof(builtResponse, fc.constantFrom(...RESPONSES.map(([, bytes]) => bytes)));
    const head = new ResponseHead(DEFAULTS);
    let checked = 0;
    fc.assert(
      fc.property(message, rulesMade, fc.boolean(), (bytes, made, isHead) => {
        const [kept, edits] = accepted(made, { message: "response" });
        const received = Buffer.from(bytes, "latin1");
        const before = relayResponse([received], isHead);
        const after = relayResponse([received], isHead, edits);
        assert.equal(after.kind, before.kind);
        if (before.kind !== "complete") return;
        checked++;
        const shown = SHOWN(after.bytes);
        const [was, is] = [before.head.toString("latin1"), after.head.toString("latin1")];
        assert.equal(
          after.bytes.toString("latin1"),
          before.bytes.toString("latin1").replace(was, () => is),
          shown,
        );
        assert.equal(is.slice(0, is.indexOf("\r\n")), was.slice(0, was.indexOf("\r\n")));
        assert.equal(head.parse(after.head, 0, after.head.length, isHead), HeadResult.DONE, shown);
        const framing = [head.end, head.framing, head.contentLength, head.isPersistent];
        head.parse(before.head, 0, before.head.length, isHead);
        assert.deepEqual(framing, [after.head.length, head.framing, head.contentLength, head.isPersistent], shown);
        assertFields(
          fieldsOf(is),
          expected(fieldsOf(was), kept, { client: CLIENT, node: NODE }, inLowerCase),
          kept,
          shown,
        );
      }),
      { seed: SEED, numRuns: RUNS },
    );
    assert.ok(checked > RUNS / 3, `only ${checked} were accepted`);
  });
});
