import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseListenAddress } from "../../src/config/listen-address.js";

describe("where to listen", () => {
  it("is a port on all IPv4 addresses, a host and port, IPv6 in brackets, a unix socket or a descriptor", () => {
    assert.deepEqual(parseListenAddress(":8081"), { kind: "tcp", host: "0.0.0.0", port: 8081 });
    assert.deepEqual(parseListenAddress("127.0.0.1:8081"), { kind: "tcp", host: "127.0.0.1", port: 8081 });
    assert.deepEqual(parseListenAddress("localhost:0"), { kind: "tcp", host: "localhost", port: 0 });
    assert.deepEqual(parseListenAddress("[::1]:8081"), { kind: "tcp", host: "::1", port: 8081 });
    assert.deepEqual(parseListenAddress(" :8081 "), { kind: "tcp", host: "0.0.0.0", port: 8081 });
    assert.deepEqual(parseListenAddress("unix:/run/fnlb.sock"), { kind: "unix", path: "/run/fnlb.sock" });
    assert.deepEqual(parseListenAddress("fd@3"), { kind: "fd", fd: 3 });
  });

  it("is nothing else", () => {
    for (const text of [
      "",
      "8081",
      "host",
      "host:",
      ":65536",
      ":-1",
      ":http",
      "::1:8081",
      "[::1]",
      "[::1]8081",
      "[127.0.0.1]:8081",
      "[zz]:1",
      "256.1.1.1:80",
      "1.2.3:80",
      "a b:80",
      "a/b:80",
      "http://host:80",
      "user@host:80",
      "-host:80",
      "unix:",
      "unix:/a\0b",
      "fd@",
      "fd@0",
      "fd@2",
      "fd@-3",
      "fd@03",
      "fd@3x",
    ])
      assert.equal(parseListenAddress(text), undefined, JSON.stringify(text));
  });

  it("round-trips", () => {
    const port = fc.integer({ min: 0, max: 65_535 });
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.domain()), port, (host, number) => {
        assert.deepEqual(parseListenAddress(`${host}:${number}`), { kind: "tcp", host, port: number });
      }),
    );
    fc.assert(
      fc.property(fc.ipV6(), port, (host, number) => {
        assert.deepEqual(parseListenAddress(`[${host}]:${number}`), { kind: "tcp", host, port: number });
      }),
    );
  });
});
