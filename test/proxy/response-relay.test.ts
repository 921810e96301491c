import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseHeaderRule } from "../../src/config/header-rule.js";
import { Counters } from "../../src/core/counters.js";
import { createNode } from "../../src/core/node.js";
import { compileHeaderRules } from "../../src/http1/header-rules.js";
import { ResponseHead } from "../../src/http1/response-head.js";
import type { ClusterContext } from "../../src/proxy/context.js";
import type { NodeConnection } from "../../src/proxy/node-connection.js";
import { type RelayClient, type RelayedExchange, ResponseRelay } from "../../src/proxy/response-relay.js";
import { DEFAULTS } from "../support/balancer.js";

interface RelayOptions {
  readonly rules?: readonly string[];
  readonly loadHeader?: string;
  readonly upgradeToken?: string;
  readonly clientAddress?: string;
  readonly cookie?: string;
}

/** What came of a response that a relay read: where its bytes were written from, and what was heard of it. */
class Relayed {
  text = "";
  /** Some bytes went out from where they were read. */
  isZeroCopy = false;
  readonly waitsMs: number[] = [];
  ending = "";
  readonly #relay: ResponseRelay;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(
    response: string,
    { rules = [], loadHeader = "", upgradeToken = "", clientAddress = "::1", cookie = "" }: RelayOptions,
  ) {
    const edits = compileHeaderRules(
      rules.map((text) => parseHeaderRule(text) ?? assert.fail(text)),
      { message: "response" },
    );
    const node = createNode("n:80", 0, { kind: "tcp", host: "n", port: 80, basePath: "" }, 1);
    const connection = { pool: { node } } as NodeConnection;
    const end = (what: string) => {
      this.ending = what;
    };
    const exchange: RelayedExchange = {
      // What a relay asks of it.
      context: {
        config: DEFAULTS,
        counters: new Counters(),
        responseHead: new ResponseHead(DEFAULTS),
        affinity: { field: "cookie" },
      } as unknown as ClusterContext,
      minor: 1,
      isHead: false,
      isPersistent: true,
      isRequestComplete: true,
      upgradeToken,
      awaitsContinue: false,
      connection,
      affinityLine: () => (cookie === "" ? "" : `Set-Cookie: ${cookie}`),
      responseEdits: () => edits,
      loadHeader: () => loadHeader,
      onLoadWait: (waitMs) => this.waitsMs.push(waitMs),
      continueBody() {},
      repeatsFor: () => false,
      onResponseBegins() {},
      onProgress() {},
      fail: end,
      break: (endedBy) => end(`broken by ${endedBy}`),
      finish: () => end("finished"),
      upgrade: () => end("upgraded"),
    };
    const client: RelayClient = {
      clientAddress,
      write: (bytes, start, stop) => {
        this.text += bytes.toString("latin1", start, stop);
        this.isZeroCopy ||= bytes === this.#buffer;
        return true;
      },
      writeBoth: (first, firstEnd, second, start, stop) => {
        this.text += first.toString("latin1", 0, firstEnd) + second.toString("latin1", start, stop);
        return true;
      },
      mustClose: () => false,
      canOpenTunnel: () => true,
    };
    this.#relay = new ResponseRelay(exchange, client);
    this.read(response);
  }

  /** The response to the next request of the same client. */
  read(response: string): void {
    this.#buffer = Buffer.from(response, "latin1");
    this.text = "";
    this.#relay.reset();
    this.#relay.onHeadBytes(this.#buffer, 0, this.#buffer.length);
  }
}

const OK = "HTTP/1.1 200 OK\r\nServer: n\r\n";
const BODY = "Content-Length: 2\r\n\r\nok";
const WAIT = "XXX-FXLB-WAIT: 1.5s\r\n";
const LOAD = { loadHeader: "xxx-fxlb-wait" };

describe("the relay of a response", () => {
  it("sends it from where it was read when there is nothing to change", () => {
    for (const options of [{}, LOAD]) {
      const { text, isZeroCopy, ending } = new Relayed(OK + BODY, options);
      assert.deepEqual([text, isZeroCopy, ending], [OK + BODY, true, "finished"]);
    }
  });

  it("applies the rules to a final response, with its client and node", () => {
    const rules = ["remove Server", "set X-Node: {node}", "add X-For: {client}"];
    const { text, isZeroCopy } = new Relayed(OK + BODY, { rules });
    assert.equal(text, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Node: n:80\r\nX-For: ::1\r\n\r\nok");
    assert.equal(isZeroCopy, false);
    const unnamed = new Relayed(OK + BODY, { rules, clientAddress: "" });
    assert.match(unnamed.text, /\r\nX-For: unknown\r\n/);
  });

  it("sets the balancer's own cookie behind all rules", () => {
    const { text } = new Relayed(`${OK}Set-Cookie: a=1\r\n${BODY}`, { rules: ["remove Set-Cookie"], cookie: "node=1" });
    assert.equal(text, `${OK}Content-Length: 2\r\nSet-Cookie: node=1\r\n\r\nok`);
  });

  it("applies them to 101, and not to interim responses", () => {
    const early = "HTTP/1.1 103 Early Hints\r\nServer: n\r\n\r\n";
    const rules = ["remove Server", "set X: 1"];
    const upgrade =
      "HTTP/1.1 101 Switching Protocols\r\nServer: n\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    const { text, ending } = new Relayed(early + upgrade, { rules, upgradeToken: "websocket" });
    assert.equal(
      text,
      `${early}HTTP/1.1 101 Switching Protocols\r\nX: 1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n`,
    );
    assert.equal(ending, "upgraded");
  });

  it("leaves interim responses alone behind a final one, too", () => {
    const early = "HTTP/1.1 103 Early Hints\r\nServer: n\r\n\r\n";
    const relayed = new Relayed(OK + BODY, { rules: ["set Server: fnlb"] });
    relayed.read(early + OK + BODY);
    assert.equal(relayed.text, `${early}HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: fnlb\r\n\r\nok`);
  });

  it("has room for values that are longer than any buffer", () => {
    const long = "v".repeat(600_000);
    assert.equal(
      new Relayed(OK + BODY, { rules: [`set X: ${long}`] }).text,
      `${OK}Content-Length: 2\r\nX: ${long}\r\n\r\nok`,
    );
    const upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
    const longer = new Relayed(upgrade, { rules: [`set X: ${long}${long}`], upgradeToken: "x" }).text;
    assert.ok(longer.endsWith("v\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"));
  });

  it("frames a body that lasts until close behind the rules' lines", () => {
    const { text } = new Relayed(`${OK}\r\nbody`, { rules: ["set X: 1"] });
    assert.equal(text, `${OK}X: 1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n`);
  });
});

describe("the load header", () => {
  for (const [lines, waitMs] of [
    [WAIT, 1500],
    ["xxx-fxlb-wait:300ms\r\n", 300],
    ["XXX-FXLB-WAIT: 0\r\n", 0],
    ["XXX-FXLB-WAIT: -3s\r\n", 0],
    ["XXX-FXLB-WAIT: soon\r\n", 0],
    ["XXX-FXLB-WAIT:\r\n", 0],
    ["XXX-FXLB-WAIT: 1s\r\nA: 1\r\nxxx-fxlb-wait: 2s\r\n", 1000],
    ["", 0],
  ] as const) {
    it(`${JSON.stringify(lines)} says ${waitMs} ms and stays behind`, () => {
      const { text, waitsMs } = new Relayed(OK + lines + BODY, LOAD);
      assert.equal(text, OK + (lines.includes("A: 1") ? "A: 1\r\n" : "") + BODY);
      assert.deepEqual(waitsMs, [waitMs]);
    });
  }

  it("stays behind in interim responses and is not read there", () => {
    const early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n";
    const { text, waitsMs } = new Relayed(`${early}${WAIT}\r\n${OK}XXX-FXLB-WAIT: 3s\r\n${BODY}`, LOAD);
    assert.equal(text, `${early}\r\n${OK}${BODY}`);
    assert.deepEqual(waitsMs, [3000]);
  });

  it("is read from 101 and stays behind", () => {
    const upgrade = "HTTP/1.1 101 Switching Protocols\r\n";
    const fields = "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    const { text, waitsMs } = new Relayed(upgrade + WAIT + fields, { ...LOAD, upgradeToken: "websocket" });
    assert.equal(text, upgrade + fields);
    assert.deepEqual(waitsMs, [1500]);
  });

  it("goes with rules for other fields", () => {
    const { text, waitsMs } = new Relayed(OK + WAIT + BODY, { ...LOAD, rules: ["set Server: fnlb"] });
    assert.equal(text, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: fnlb\r\n\r\nok");
    assert.deepEqual(waitsMs, [1500]);
  });

  it("is any other field when it is off", () => {
    const { text, waitsMs } = new Relayed(OK + WAIT + BODY, {});
    assert.deepEqual([text, waitsMs], [OK + WAIT + BODY, []]);
  });
});
