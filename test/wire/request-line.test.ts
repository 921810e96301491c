import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startBalancer } from "../support/balancer.js";
import { orderOf } from "../support/paths.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { addedLines, assertForwarded, assertRefused, startWire } from "../support/wire.js";

const ALLOW = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS";

describe("a request line", () => {
  for (const [name, line] of [
    ["* with another method than OPTIONS", "GET * HTTP/1.1"],
    ["a target with a fragment", "GET /a#b HTTP/1.1"],
    ["a target that is nothing but a fragment", "GET # HTTP/1.1"],
    ["a target that does not start with a slash", "GET a/b HTTP/1.1"],
    ["a target that is a query", "GET ?a HTTP/1.1"],
    ["an authority as target", "GET fn:80 HTTP/1.1"],
    ["a scheme other than http and https", "GET ftp://fn/ HTTP/1.1"],
    ["a scheme without an authority", "GET http:///a HTTP/1.1"],
    ["userinfo in the target", "GET http://user@fn/ HTTP/1.1"],
    ["a blank in the target", "GET /a b HTTP/1.1"],
    ["a tab in the target", "GET /a\tb HTTP/1.1"],
    ["an 8-bit byte in the target", "GET /\xe4 HTTP/1.1"],
    ["DEL in the target", "GET /\x7f HTTP/1.1"],
    ["NUL in the target", "GET /\0 HTTP/1.1"],
    ["a bare CR in the target", "GET /\ra HTTP/1.1"],
    ["a bare LF in the target", "GET /\na HTTP/1.1"],
    ["no target", "GET HTTP/1.1"],
    ["two blanks before the target", "GET  / HTTP/1.1"],
    ["two blanks behind the target", "GET /  HTTP/1.1"],
    ["a tab behind the method", "GET\t/ HTTP/1.1"],
    ["a blank before the method", " GET / HTTP/1.1"],
    ["a method that is no token", "GE(T / HTTP/1.1"],
    ["no version", "GET /"],
    ["a version in lower case", "GET / http/1.1"],
    ["a version with two digits", "GET / HTTP/1.10"],
    ["a version without a minor number", "GET / HTTP/1"],
    ["something behind the version", "GET / HTTP/1.1 x"],
    ["a blank behind the version", "GET / HTTP/1.1 "],
    ["two empty lines before it", "\r\n\r\nGET / HTTP/1.1"],
    ["a bare LF before it", "\nGET / HTTP/1.1"],
    ["a bare CR before it", "\rGET / HTTP/1.1"],
    ["a bare LF at its end", "GET / HTTP/1.1\nX: y"],
    ["a bare CR at its end", "GET / HTTP/1.1\rX: y"],
  ]) {
    it(`is refused with ${name}`, async (t) => {
      await assertRefused(await startWire(t), `${line}\r\nHost: fn\r\n\r\n`, 400, "ERR_BAD_REQUEST");
    });
  }

  for (const [method, target] of [
    ["TRACE", "/"],
    ["CONNECT", "fn:443"],
    ["CONNECT", "/"],
  ]) {
    it(`is refused with ${method} ${target}, and the methods that are served are named`, async (t) => {
      const wire = await startWire(t);
      wire.client.send(`${method} ${target} HTTP/1.1\r\nHost: fn\r\n\r\n`);
      const response = await wire.client.response();
      assert.deepEqual([response.status, response.json().code], [405, "ERR_METHOD"]);
      assert.deepEqual([response.header("allow"), response.header("connection")], [ALLOW, "close"]);
      await wire.client.log.untilEnd();
      assert.equal(wire.origin.connections.length, 0);
    });
  }

  it("may follow one empty line, which is not forwarded", async (t) => {
    const wire = await startWire(t);
    await assertForwarded(
      wire,
      "\r\nGET / HTTP/1.1\r\nHost: fn\r\n\r\n",
      `GET / HTTP/1.1\r\nHost: fn\r\n${wire.added()}`,
    );
  });

  for (const method of [
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "PROPFIND",
    "get",
    "trace",
    "M-SEARCH",
    "!",
  ]) {
    it(`is forwarded with the method ${method}`, async (t) => {
      const wire = await startWire(t);
      const head = `${method} /f HTTP/1.1\r\nHost: fn\r\n`;
      await assertForwarded(wire, `${head}\r\n`, head + wire.added(), method);
    });
  }

  for (const target of [
    "//x",
    "/a/../../b",
    "/a/./b//c/",
    "/%2f..%00",
    "/%0d%0aHost:%20evil",
    "/a;b=c;d",
    "/%zz%",
    "/?",
    "/?a=b?c/d&&e=%2F",
    "/*",
    "/http://elsewhere/",
    "/\\..\\x",
    '/"<>^`{|}',
    "/!$&'()+,-.:=@_~",
  ]) {
    it(`FA3: is forwarded byte by byte with the target ${target}`, async (t) => {
      const wire = await startWire(t);
      const head = `GET ${target} HTTP/1.1\r\nHost: fn\r\n`;
      await assertForwarded(wire, `${head}\r\n`, head + wire.added());
    });
  }

  it("gives the key as the bytes of its path, neither decoded nor normalised, without the query", async (t) => {
    const origins = await Promise.all(["a", "b", "c"].map((name) => startRawOrigin(t, answering(ok(name)))));
    const { port, config } = await startBalancer(t, { nodes: origins.map((origin) => origin.port) });
    const client = await connectClient(t, port);
    for (const path of ["/a/b", "/a%2fb", "/a%2Fb", "/a//b", "/a/./b", "/A/b", "/a/b/", "/a/b;c", "/../a"]) {
      const home = config.nodes.findIndex(({ id }) => id === orderOf(config.nodes, path)[0]);
      for (const target of [path, `${path}?x=1`, `http://fn${path}?y`]) {
        const response = await client.ask(`GET ${target} HTTP/1.1\r\nHost: fn\r\n\r\n`);
        assert.equal(response.body.toString(), "abc"[home], target);
      }
    }
  });
});

describe("an absolute-form target", () => {
  for (const [target, path, host] of [
    ["http://fn/a?b", "/a?b", "fn"],
    ["http://fn", "/", "fn"],
    ["http://fn/", "/", "fn"],
    ["http://fn?a", "/?a", "fn"],
    ["HTTP://FN:80/a", "/a", "FN:80"],
    ["https://fn/a//b", "/a//b", "fn"],
    ["http://[::1]:8081/a", "/a", "[::1]:8081"],
  ]) {
    it(`${target} reaches the node as ${path} with its authority as Host`, async (t) => {
      const wire = await startWire(t);
      await assertForwarded(
        wire,
        `GET ${target} HTTP/1.1\r\nX: y\r\nHost: ${host}\r\nZ: z\r\n\r\n`,
        `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nX: y\r\nZ: z\r\n${wire.added(host)}`,
      );
    });
  }

  it("may differ from Host in case", async (t) => {
    const wire = await startWire(t);
    await assertForwarded(
      wire,
      "GET http://Fn/ HTTP/1.1\r\nHost: fN\r\n\r\n",
      `GET / HTTP/1.1\r\nHost: Fn\r\n${wire.added("Fn")}`,
    );
  });

  for (const host of ["other", "fn:80", "fn.", "f"]) {
    it(`http://fn/ is refused with Host: ${host}`, async (t) => {
      const wire = await startWire(t);
      await assertRefused(wire, `GET http://fn/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 400, "ERR_BAD_REQUEST");
    });
  }

  it("is refused without Host, which HTTP/1.1 requires even then", async (t) => {
    await assertRefused(await startWire(t), "GET http://fn/ HTTP/1.1\r\n\r\n", 400, "ERR_BAD_REQUEST");
  });

  it("gives an HTTP/1.0 request its Host", async (t) => {
    const wire = await startWire(t);
    await assertForwarded(
      wire,
      "GET http://fn/a HTTP/1.0\r\n\r\n",
      `GET /a HTTP/1.1\r\nHost: fn\r\n${addedLines(wire.port)}`,
    );
  });
});

describe("OPTIONS *", () => {
  for (const [target, host] of [
    ["*", "fn"],
    ["http://fn", "fn"],
  ]) {
    it(`with the target ${target} is answered here, and the connection goes on`, async (t) => {
      const { client, origin, balancer } = await startWire(t);
      for (let number = 0; number < 2; number++) {
        const response = await client.ask(`OPTIONS ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
        assert.deepEqual(
          [response.status, response.header("allow"), response.header("content-length")],
          [200, ALLOW, "0"],
        );
        assert.equal(response.header("connection"), undefined);
      }
      assert.equal(origin.connections.length, 0);
      assert.equal(balancer.snapshot().counters.responses2xx, 2);
    });
  }

  it("is answered while every node is dead", async (t) => {
    const { client, origin } = await startWire(t);
    await origin.stop();
    assert.equal((await client.ask("OPTIONS * HTTP/1.1\r\nHost: fn\r\n\r\n")).status, 200);
  });

  it("with a body ends the connection, for the body is not read", async (t) => {
    const { client } = await startWire(t);
    const response = await client.ask("OPTIONS * HTTP/1.1\r\nHost: fn\r\nContent-Length: 3\r\n\r\nabc");
    assert.deepEqual([response.status, response.header("connection")], [200, "close"]);
    await client.log.untilEnd();
  });

  it("with a path is forwarded", async (t) => {
    const wire = await startWire(t);
    await assertForwarded(
      wire,
      "OPTIONS /a HTTP/1.1\r\nHost: fn\r\n\r\n",
      `OPTIONS /a HTTP/1.1\r\nHost: fn\r\n${wire.added()}`,
    );
  });
});
