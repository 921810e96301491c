import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseHeaderRule } from "../../src/config/header-rule.js";
import type { HeaderRule } from "../../src/core/header-rule.js";
import { FnlbError } from "../../src/errors.js";
import {
  compileHeaderRules,
  type HeaderEdits,
  type HeaderRuleScope,
  isEndToEnd,
} from "../../src/http1/header-rules.js";
import { forwardedLines, forwardedNames } from "../../src/proxy/forwarded.js";
import { DEFAULTS } from "../support/balancer.js";
import { CLIENT, type CodecOptions, forwardRequests, linesFor, NODE, relayResponse } from "../support/codec.js";
import { addedLines, VIA } from "../support/wire.js";

function compiled(rules: readonly string[], scope: HeaderRuleScope): HeaderEdits | undefined {
  return compileHeaderRules(
    rules.map((text) => parseHeaderRule(text) ?? assert.fail(`no rule: ${text}`)),
    scope,
  );
}

const REQUEST: HeaderRuleScope = { message: "request", reserved: forwardedNames(DEFAULTS) };
const RESPONSE: HeaderRuleScope = { message: "response" };

/** The head that goes to the node for `head`, an empty line not included. */
function toNode(head: string, rules: readonly string[], options: CodecOptions = {}): string {
  const edits = compiled(rules, REQUEST);
  const { requests, refusal } = forwardRequests([Buffer.from(`${head}\r\n`, "latin1")], { edits, ...options });
  assert.equal(refusal, undefined);
  return requests[0].bytes.toString("latin1");
}

function toClient(response: string, rules: readonly string[]): string {
  const relayed = relayResponse([Buffer.from(response, "latin1")], false, compiled(rules, RESPONSE));
  assert.equal(relayed.kind, "complete");
  return relayed.bytes.toString("latin1");
}

const HEAD = "GET /f HTTP/1.1\r\nHost: fn\r\n";
const ADDED = addedLines(8081);

describe("header rules of requests", () => {
  for (const [name, rules, received, sent] of [
    ["add a field", ["add X-Env: prod"], "", "X-Env: prod\r\n"],
    ["add to a field that is there", ["add X-A: 2"], "X-A: 1\r\n", "X-A: 1\r\nX-A: 2\r\n"],
    ["set a field that is not there", ["set X-A: 1"], "B: 2\r\n", "B: 2\r\nX-A: 1\r\n"],
    ["set a field in place of all of its name", ["set x-a: 3"], "X-A: 1\r\nB: b\r\nX-a:2\r\n", "B: b\r\nx-a: 3\r\n"],
    ["remove all fields of a name", ["remove cookie"], "Cookie: a\r\nB: b\r\nCOOKIE: c\r\n", "B: b\r\n"],
    ["remove what is not there", ["remove X"], "B: b\r\n", "B: b\r\n"],
    ["leave names alone that only begin alike", ["remove X-A"], "X-AB: 1\r\nX: 2\r\n", "X-AB: 1\r\nX: 2\r\n"],
    ["work in their order: set, add", ["set A: 1", "add A: 2"], "A: 0\r\n", "A: 1\r\nA: 2\r\n"],
    ["work in their order: add, set", ["add A: 1", "set a: 2"], "A: 0\r\n", "a: 2\r\n"],
    ["work in their order: add, remove", ["add A: 1", "remove A"], "A: 0\r\n", ""],
    ["work in their order: remove, add", ["remove A", "add A: 1"], "A: 0\r\n", "A: 1\r\n"],
    ["may set an empty value", ["set A:"], "A: 0\r\n", "A: \r\n"],
    ["send what is not ASCII as UTF-8", ["set A: zürich \u{1f600}"], "", "A: z\xc3\xbcrich \xf0\x9f\x98\x80\r\n"],
    ["never make a line break of a character", ["set A: \u010a\u010d"], "", "A: \xc4\x8a\xc4\x8d\r\n"],
    [
      "fill in the client",
      ["set X-Real-IP: {client}", "add A: <{client}>"],
      "",
      `X-Real-IP: ${CLIENT}\r\nA: <${CLIENT}>\r\n`,
    ],
    ["fill in the host", ["set A: {host}/{client}/{host}"], "", `A: fn/${CLIENT}/fn\r\n`],
    ["take two braces for one", ["set A: {{client}{{{{{host}}"], "", "A: {client}{{fn}\r\n"],
    ["remove a field behind the framing", ["remove B"], "Content-Length: 0\r\nB: 1\r\n", "Content-Length: 0\r\n"],
  ] as const) {
    it(name, () => {
      assert.equal(toNode(HEAD + received, rules), HEAD + sent + ADDED);
    });
  }

  it("set Host in its place, and the node still hears which one the client asked for", () => {
    assert.equal(
      toNode(`GET /f HTTP/1.1\r\nA: 1\r\nhost: fn\r\nB: 2\r\n`, ["set Host: fn.internal:80"]),
      `GET /f HTTP/1.1\r\nHost: fn.internal:80\r\nA: 1\r\nB: 2\r\n${ADDED}`,
    );
  });

  it("set Host of an absolute-form target, and of HTTP/1.0 that has none", () => {
    const rules = ["set Host: in"];
    assert.equal(toNode("GET http://fn/f HTTP/1.1\r\nHost: fn\r\n", rules), `GET /f HTTP/1.1\r\nHost: in\r\n${ADDED}`);
    assert.equal(
      toNode("GET /f HTTP/1.0\r\nX: y\r\n", rules),
      `GET /f HTTP/1.1\r\nHost: in\r\nX: y\r\n${addedLines(8081, "")}`,
    );
  });

  it("set Host to the node's own, which the last of several rules decides", () => {
    assert.equal(
      toNode(HEAD, ["set Host: a", "set Host: {node}"], { nodeHost: "10.0.0.1:8080" }),
      `GET /f HTTP/1.1\r\nHost: 10.0.0.1:8080\r\n${ADDED}`,
    );
    assert.equal(
      toNode(HEAD, ["set Host: {node}", "set Host: [::1]:80"]),
      `GET /f HTTP/1.1\r\nHost: [::1]:80\r\n${ADDED}`,
    );
  });

  it("call a client without an address unknown, and leave the host empty where there is none", () => {
    const lines = { ...linesFor(8081), clientAddress: "" };
    const sent = toNode("GET /f HTTP/1.0\r\n", ["set A: {client}", "set B: <{host}>"], { lines, nodeHost: "n" });
    assert.equal(sent, `GET /f HTTP/1.1\r\nHost: n\r\nA: unknown\r\nB: <>\r\n${addedLines(8081, "")}`);
  });

  it("have room for values far longer than the head", () => {
    const long = "v".repeat(20_000);
    assert.equal(toNode(HEAD, [`set A: ${long}{client}`]), `${HEAD}A: ${long}${CLIENT}\r\n${ADDED}`);
    const host = "h".repeat(2000);
    const sent = toNode(`GET /f HTTP/1.1\r\nHost: ${host}\r\n`, ["set A: {host}{host}{host}"]);
    assert.equal(sent, `GET /f HTTP/1.1\r\nHost: ${host}\r\nA: ${host.repeat(3)}\r\n${addedLines(8081, host)}`);
  });

  it("may write forwarding fields that the balancer leaves alone", () => {
    const config = { ...DEFAULTS, forwardedFor: "off", forwardedHeaders: "none" } as const;
    const edits = compiled(["remove X-Forwarded-For", "set X-Forwarded-Proto: https"], {
      message: "request",
      reserved: forwardedNames(config),
    });
    const lines = forwardedLines({
      config,
      isTrusted: false,
      address: CLIENT,
      port: 8081,
      isEncrypted: false,
      viaName: VIA,
    });
    const received = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: ftp\r\nForwarded: for=6.6.6.6\r\n";
    assert.equal(
      toNode(HEAD + received, [], { lines, edits }),
      `${HEAD}X-Forwarded-Proto: https\r\nVia: 1.1 ${VIA}\r\n\r\n`,
    );
  });
});

describe("header rules of responses", () => {
  const BODY = "Content-Length: 2\r\n\r\nok";
  for (const [name, rules, received, kept, added] of [
    [
      "add and set fields",
      ["add X-A: 1", "set Server: fnlb"],
      "Server: n\r\nX-A: 0\r\n",
      "X-A: 0\r\n",
      "X-A: 1\r\nServer: fnlb\r\n",
    ],
    ["remove all fields of a name", ["remove server"], "Server: n\r\nSERVER: m\r\nDate: d\r\n", "Date: d\r\n", ""],
    ["remove what is not there", ["remove server"], "Date: d\r\n", "Date: d\r\n", ""],
    ["fill in client and node", ["set X-Node: {node} for {client}"], "", "", `X-Node: ${NODE} for ${CLIENT}\r\n`],
    ["take the cookies of nodes away", ["remove set-cookie"], "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n", "", ""],
    ["do not bring hop-by-hop fields back", ["add A: 1"], "Connection: x\r\nX: 1\r\n", "", "A: 1\r\n"],
  ] as const) {
    it(name, () => {
      assert.equal(
        toClient(`HTTP/1.1 200 OK\r\n${received}${BODY}`, rules),
        `HTTP/1.1 200 OK\r\n${kept}Content-Length: 2\r\n${added}\r\nok`,
      );
    });
  }

  it("leave interim responses alone", () => {
    const early = "HTTP/1.1 103 Early Hints\r\nServer: n\r\n\r\n";
    assert.equal(
      toClient(`${early}HTTP/1.1 200 OK\r\nServer: n\r\n${BODY}`, ["remove Server"]),
      `${early}HTTP/1.1 200 OK\r\n${BODY}`,
    );
  });

  it("have room for a node's name that is far longer than the head", () => {
    const node = `unix:/${"n".repeat(3000)}`;
    const edits = compiled(["set X-Node: {node}{node}"], RESPONSE);
    const { bytes } = relayResponse([Buffer.from(`HTTP/1.1 200 OK\r\n${BODY}`)], false, edits, node);
    assert.equal(bytes.toString(), `HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Node: ${node}${node}\r\n\r\nok`);
  });

  it("never let a node's name begin a line of its own", () => {
    const edits = compiled(["set X-Node: {node}"], RESPONSE);
    assert.ok(edits !== undefined);
    const response = "HTTP/1.1 200 OK\r\n";
    const named = relayResponse([Buffer.from(response + BODY)], false, edits, "unix:/run/a\r\nb\u010a.sock");
    assert.ok(named.bytes.toString("latin1").includes("\r\nX-Node: unix:/run/a??b?.sock\r\n"));
  });
});

describe("header rules that are refused", () => {
  const refused = (rules: readonly HeaderRule[], scope: HeaderRuleScope, expected: RegExp) =>
    assert.throws(
      () => compileHeaderRules(rules, scope),
      (error) => {
        assert.ok(error instanceof FnlbError);
        assert.equal(error.code, "ERR_OPTION");
        assert.match(error.message, new RegExp(`^option "${scope.message}-header" must be a rule .+, got "`));
        assert.match(error.message, expected);
        return true;
      },
    );

  for (const name of [
    "Connection",
    "content-length",
    "TRANSFER-ENCODING",
    "Content_Length",
    "TE",
    "Trailer",
    "Upgrade",
    "Keep-Alive",
    "Proxy-Connection",
    "Proxy_Authorization",
    "Via",
    "HTTP2-Settings",
    "Expect",
  ]) {
    for (const scope of [REQUEST, RESPONSE]) {
      it(`touch ${name} of a ${scope.message}`, () => {
        for (const action of ["set", "add", "remove"] as const) {
          refused([{ action, name, value: "" }], scope, /leaves to others/);
        }
      });
    }
  }

  for (const name of [
    "X-Forwarded-For",
    "x_forwarded_for",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
  ]) {
    it(`touch ${name}, which the balancer writes`, () => {
      refused([{ action: "set", name, value: "x" }], REQUEST, /leaves to others/);
    });
  }

  it("touch what the balancer writes as it is configured", () => {
    const both = forwardedNames({ ...DEFAULTS, forwardedHeaders: "both", requestId: true });
    for (const name of ["Forwarded", "X-Request-ID", "X-Forwarded-Proto"]) {
      refused([{ action: "remove", name, value: "" }], { message: "request", reserved: both }, /leaves to others/);
    }
    assert.deepEqual(forwardedNames({ ...DEFAULTS, forwardedFor: "off", forwardedHeaders: "none" }), []);
    assert.deepEqual(forwardedNames({ ...DEFAULTS, forwardedFor: "replace", forwardedHeaders: "forwarded" }), [
      "x-forwarded-for",
      "forwarded",
    ]);
  });

  for (const [what, rule, scope] of [
    ["add a second Host", { action: "add", name: "Host", value: "a" }, REQUEST],
    ["remove Host", { action: "remove", name: "host", value: "" }, REQUEST],
    ["set Host of a response", { action: "set", name: "Host", value: "a" }, RESPONSE],
    ["set Host to a list", { action: "set", name: "Host", value: "a, b" }, REQUEST],
    ["set Host to nothing", { action: "set", name: "Host", value: "" }, REQUEST],
    ["set Host to a client", { action: "set", name: "Host", value: "{client}" }, REQUEST],
    ["have no name", { action: "set", name: "", value: "a" }, REQUEST],
    ["have a blank in the name", { action: "set", name: "X Y", value: "a" }, REQUEST],
    ["have a colon in the name", { action: "set", name: "X:", value: "a" }, REQUEST],
    ["have a letter outside of ASCII in the name", { action: "set", name: "Zürich", value: "a" }, REQUEST],
    ["break the line", { action: "set", name: "X", value: "a\r\nY: b" }, REQUEST],
    ["break the line with LF alone", { action: "add", name: "X", value: "a\n" }, RESPONSE],
    ["hold NUL", { action: "set", name: "X", value: "a\0" }, REQUEST],
    ["hold DEL", { action: "set", name: "X", value: "\x7f" }, REQUEST],
    ["remove with a value", { action: "remove", name: "X", value: "a" }, REQUEST],
    ["fill in what nobody knows", { action: "set", name: "X", value: "{path}" }, REQUEST],
    ["fill in the node of a request", { action: "set", name: "X", value: "{node}" }, REQUEST],
    ["fill in the host of a response", { action: "set", name: "X", value: "{host}" }, RESPONSE],
    ["leave a brace open", { action: "set", name: "X", value: "{client" }, REQUEST],
    ["leave a placeholder empty", { action: "set", name: "X", value: "{}" }, REQUEST],
  ] as const) {
    it(what, () => refused([{ action: "set", name: "A", value: "1" }, rule], scope, /./));
  }

  it("touch a field that the balancer takes out, however it is written", () => {
    for (const reserved of [["x-wait"], ["x_wait"]]) {
      refused([{ action: "set", name: "X_Wait", value: "1s" }], { message: "response", reserved }, /leaves to others/);
    }
  });

  it("are none where there are no rules, and nothing is to be done for them", () => {
    assert.equal(compileHeaderRules([], REQUEST), undefined);
  });
});

describe("the name of an end-to-end field", () => {
  for (const name of ["X-A", "Host", "Cookie", "Proxy", "XXX-FXLB-WAIT", "tea"]) {
    it(`is ${name}`, () => assert.equal(isEndToEnd(name), true));
  }
  for (const name of ["", "X A", "X:", "ü", "Content-Length", "TRANSFER_ENCODING", "te", "Proxy-Status", "via"]) {
    it(`is not ${JSON.stringify(name)}`, () => assert.equal(isEndToEnd(name), false));
  }
});
