import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createNode } from "../../src/core/node.js";
import type { ByteStream } from "../../src/core/stream.js";
import { compileHeaderRules } from "../../src/http1/header-rules.js";
import { HeadResult, RequestHead } from "../../src/http1/request-head.js";
import { HeldRequest } from "../../src/proxy/held-request.js";
import { DEFAULTS } from "../support/balancer.js";
import { linesFor } from "../support/codec.js";
import { addedLines } from "../support/wire.js";

interface Sent {
  /** What a node under that base path gets. */
  readonly text: string;
  readonly receivedPath: string;
}

/** Holds a request as an exchange does, and sends it. */
function send(request: string, stripBytes: number, { basePath = "", rules = [] as readonly string[] } = {}): Sent {
  const buffer = Buffer.from(request, "latin1");
  const head = new RequestHead(DEFAULTS);
  assert.equal(head.parse(buffer, 0, buffer.length), HeadResult.DONE);
  const held = new HeldRequest(1024);
  const edits = compileHeaderRules(
    rules.map((value) => ({ action: "set", name: "Host", value })),
    { message: "request" },
  );
  held.compose(head, buffer, linesFor(8081), "", "", 0, stripBytes, edits);
  buffer.fill(0xee);
  let text = "";
  const write: ByteStream["write"] = (bytes, start, end) => {
    text += bytes.toString("latin1", start, end);
    return true;
  };
  const node = createNode("n:80", 0, { kind: "tcp", host: "n", port: 80, basePath }, 1);
  held.sendTo({ write } as ByteStream, node);
  const receivedPath = held.path();
  held.drop();
  return { text, receivedPath };
}

const REST = "Host: fn\r\nX: y\r\n";
const ADDED = addedLines(8081);

describe("a prefix that is stripped", () => {
  for (const [target, stripBytes, sent] of [
    ["/api/x?q", 4, "/x?q"],
    ["/api", 4, "/"],
    ["/api?q", 4, "/?q"],
    ["/api/", 4, "/"],
    ["/api/?q=/api/", 4, "/?q=/api/"],
    ["/api/x", 5, "/x"],
    ["/api/", 5, "/"],
    ["/apix", 4, "/x"],
    ["/api//evil", 4, "//evil"],
    ["/api/%2F..%2e/%00;a", 4, "/%2F..%2e/%00;a"],
    ["/%61pi/x", 6, "/x"],
    ["/api/../x", 4, "/../x"],
    ["/api\\x", 4, "/\\x"],
    ["/x?q", 100, "/?q"],
    ["/x", 0, "/x"],
    ["//x", 0, "//x"],
  ] as const) {
    it(`of ${stripBytes} bytes makes ${sent} of ${target}`, () => {
      const { text, receivedPath } = send(`GET ${target} HTTP/1.1\r\n${REST}\r\n`, stripBytes);
      assert.equal(text, `GET ${sent} HTTP/1.1\r\n${REST}${ADDED}`);
      assert.equal(receivedPath, target.split("?")[0], "keys and logs go by the path as it came");
    });

    it(`of ${stripBytes} bytes makes ${sent} of the absolute form of ${target}`, () => {
      const { text, receivedPath } = send(`GET http://fn${target} HTTP/1.1\r\n${REST}\r\n`, stripBytes);
      assert.equal(text, `GET ${sent} HTTP/1.1\r\n${REST}${ADDED}`);
      assert.equal(receivedPath, target.split("?")[0]);
    });
  }

  it("leaves the slash of an absolute form that has none", () => {
    for (const stripBytes of [0, 1, 4]) {
      const { text, receivedPath } = send(`GET http://fn?q HTTP/1.1\r\n${REST}\r\n`, stripBytes);
      assert.equal(text, `GET /?q HTTP/1.1\r\n${REST}${ADDED}`);
      assert.equal(receivedPath, "/");
    }
  });

  it("gives way to the node's base path", () => {
    for (const [target, sent] of [
      ["/api/x?q", "/base/x?q"],
      ["/api", "/base/"],
      ["/api//evil", "/base//evil"],
    ]) {
      const { text } = send(`GET ${target} HTTP/1.1\r\n${REST}\r\n`, 4, { basePath: "/base" });
      assert.equal(text, `GET ${sent} HTTP/1.1\r\n${REST}${ADDED}`);
    }
  });

  it("goes with a Host that is the node's, with HTTP/1.0 and with another version", () => {
    const { text } = send(`GET /api/x HTTP/1.1\r\n${REST}\r\n`, 4, { basePath: "/base", rules: ["{node}"] });
    assert.equal(text, `GET /base/x HTTP/1.1\r\nHost: n\r\nX: y\r\n${ADDED}`);
    const old = send("GET /api/x HTTP/1.0\r\n\r\n", 4, { basePath: "/base" });
    assert.equal(old.text, `GET /base/x HTTP/1.1\r\nHost: n\r\n${addedLines(8081, "")}`);
    assert.equal(send(`GET /api HTTP/1.5\r\n${REST}\r\n`, 4).text, `GET / HTTP/1.1\r\n${REST}${ADDED}`);
  });

  it("is forgotten with its request: the next one on the connection keeps its own path", () => {
    const held = new HeldRequest(1024);
    const head = new RequestHead(DEFAULTS);
    for (const [target, stripBytes] of [
      ["/api/x", 4],
      ["/y", 0],
    ] as const) {
      const buffer = Buffer.from(`GET ${target} HTTP/1.1\r\n${REST}\r\n`);
      head.parse(buffer, 0, buffer.length);
      held.compose(head, buffer, linesFor(8081), "", "", 0, stripBytes);
      assert.equal(held.path(), target);
      held.drop();
    }
  });
});
