import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { printConfig } from "../../src/cli/print-config.js";
import { adminTls } from "../../src/config/admin.js";
import { parseConfigFile } from "../../src/config/config-file.js";
import { resolveConfig } from "../../src/config/resolve.js";
import { FnlbError } from "../../src/errors.js";

const TOKEN = "sixteen-bytes-16";

type Options = NonNullable<NonNullable<Parameters<typeof resolveConfig>[0]>["options"]>;

function refusal(options: Options): string {
  try {
    resolveConfig({ options });
  } catch (error) {
    assert.ok(error instanceof FnlbError && error.code === "ERR_OPTION", String(error));
    return error.message;
  }
  return assert.fail(`${JSON.stringify(options)} was accepted`);
}

describe("the options of the admin API", () => {
  it("need a token or client certificates where others than this machine can connect", () => {
    const own = [
      "127.0.0.1:9081",
      "127.1.2.3:0",
      "[::1]:9081",
      "[0:0:0:0:0:0:0:1]:9081",
      "localhost:9081",
      "unix:/a.sock",
    ];
    for (const admin of own) resolveConfig({ options: { admin } });
    const others = [
      ":9081",
      "0.0.0.0:9081",
      "10.0.0.1:9081",
      "[::]:9081",
      "[::ffff:127.0.0.1]:9081",
      "fnlb.internal:9081",
    ];
    for (const admin of [...others, "localhost.evil.example:9081", "128.0.0.1:9081"]) {
      assert.match(refusal({ admin }), /^option "admin-token"|^default of option "admin-token" must be given/, admin);
      assert.match(refusal({ admin, "admin-tls-cert": "a.pem" }), /"admin-token" must be given/, admin);
      resolveConfig({ options: { admin, "admin-token": TOKEN } });
      resolveConfig({ options: { admin, "admin-tls-cert": "a.pem", "admin-client-ca": "ca.pem" } });
    }
  });

  it("refuse addresses that no client could be told", () => {
    for (const admin of ["fd@3", "9081", "127.0.0.1", "http://127.0.0.1:9081", "127.0.0.1:9081,[::1]:9081", "unix:"]) {
      assert.match(refusal({ admin }), /option "admin" must be an address such as/, admin);
    }
  });

  it("refuse what would be ignored", () => {
    assert.match(refusal({ "admin-token": TOKEN }), /"admin-token" must be left out without --admin, got "one"/);
    assert.match(refusal({ "admin-tls-cert": "a.pem" }), /"admin-tls-cert" must be left out without --admin/);
    const admin = "127.0.0.1:1";
    assert.match(
      refusal({ admin, "admin-tls-key": "a.key" }),
      /"admin-tls-key" must be left out without --admin-tls-cert/,
    );
    assert.match(
      refusal({ admin, "admin-client-ca": "c.pem" }),
      /"admin-client-ca" must be left out without --admin-tls-/,
    );
  });

  it("never repeat a token in an error", () => {
    const admin = "127.0.0.1:1";
    const texts = ["short", "sixteen bytes 16", "sixteen-bytes-16\u00e9", `${TOKEN},x`];
    for (const text of texts) {
      const message = refusal({ admin, "admin-token": text });
      assert.match(message, /"admin-token" must be/);
      assert.ok(!message.includes(text), message);
    }
    const twice = refusal({ admin, "admin-token": [TOKEN, TOKEN] });
    assert.ok(!twice.includes(TOKEN), twice);
    assert.match(twice, /given once, got "2 texts"/);
    assert.throws(
      () =>
        resolveConfig({ file: parseConfigFile(`admin: 127.0.0.1:1\nadmin-token: [${TOKEN}, ${TOKEN}]\n`, "f.yaml") }),
      (error: Error) => !error.message.includes(TOKEN),
    );
  });

  it("never print a token or secret, wherever in its list it stands", () => {
    const options = { admin: "127.0.0.1:1", "admin-token": TOKEN, "sticky-cookie": "c" };
    const printed = printConfig({ options: { ...options, "sticky-secret": ["", `${TOKEN}-of-cookies`] } });
    assert.ok(!printed.includes(TOKEN), printed);
    assert.match(printed, /^admin-token: \(secret\) /m);
    assert.match(printed, /^sticky-secret: \(secret\) /m);
  });

  it("take a token of exactly sixteen bytes, and what else RFC 6750 allows", () => {
    const options = { admin: "127.0.0.1:1" };
    for (const token of [TOKEN, "abcDEF0123-._~+/==", "x".repeat(500)]) {
      assert.equal(resolveConfig({ options: { ...options, "admin-token": token } }).adminToken, token);
    }
    assert.match(refusal({ ...options, "admin-token": TOKEN.slice(1) }), /16 bytes or more, got "one of 15"/);
  });

  it("make a TLS listener that asks for certificates without insisting, for probes have none", () => {
    const options = { admin: "127.0.0.1:1", "admin-tls-cert": "a.pem" };
    const certificates = [{ certFile: "a.pem", keyFile: "a.pem" }];
    const plain = { certificates, clientCaFile: "", clientCertificates: "none", minVersion: "1.2" };
    assert.deepEqual(adminTls(resolveConfig({ options })), plain);
    assert.deepEqual(adminTls(resolveConfig({ options: { ...options, "admin-client-ca": "ca.pem" } })), {
      ...plain,
      clientCaFile: "ca.pem",
      clientCertificates: "request",
    });
    assert.equal(adminTls(resolveConfig()), undefined);
  });
});
