import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type CookieAttributes,
  checkCookieName,
  cookieAttributes,
  cookieValues,
  isCookieValue,
} from "../../../src/core/affinity/cookie.js";

describe("reading a Cookie header", () => {
  it("finds one cookie among others, by its exact name", () => {
    assert.deepEqual(cookieValues("a=1; fnlb=x; b=2", "fnlb"), ["x"]);
    assert.deepEqual(cookieValues("fnlb=x", "fnlb"), ["x"]);
    for (const header of ["Fnlb=x", "xfnlb=x", "fnlb2=x", "a=fnlb=x", "fnlb", ""]) {
      assert.deepEqual(cookieValues(header, "fnlb"), [], header);
    }
  });

  it("takes what clients send: spaces, quotes, no spaces, empty pieces, values with equals signs", () => {
    const header = ';;a; =b; fnlb = "x" ;fnlb=y;\tfnlb=\tz\t; fnlb=; fnlb=a=b==; fnlb="; fnlb=""';
    assert.deepEqual(cookieValues(header, "fnlb"), ["x", "y", "z", "", "a=b==", '"', ""]);
  });

  it("knows no special names", () => {
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      assert.deepEqual(cookieValues("a=1", name), []);
      assert.deepEqual(cookieValues(`${name}=1`, name), ["1"]);
    }
    assert.equal(Object.keys(Object.prototype).length, 0);
  });

  it("looks at eight values of a name and no more", () => {
    assert.equal(cookieValues("fnlb=x; ".repeat(9), "fnlb").length, 8);
    assert.equal(cookieValues("fnlb=x; ".repeat(8), "fnlb").length, 8);
    assert.equal(cookieValues("other=x; ".repeat(100_000), "fnlb").length, 0);
  });
});

describe("cookie attributes", () => {
  it("O13: have the path / by default, and are closed to scripts and other sites", () => {
    assert.equal(cookieAttributes({}), "; Path=/; HttpOnly; SameSite=Lax");
  });

  it("O13: are written as asked for", () => {
    const all: CookieAttributes = {
      path: "/app",
      domain: "example.org",
      secure: true,
      httpOnly: false,
      sameSite: "none",
      maxAgeSeconds: 3600,
      expires: new Date(Date.UTC(2030, 0, 2, 3, 4, 5)),
    };
    assert.equal(
      cookieAttributes(all),
      "; Path=/app; Domain=example.org; Max-Age=3600; Expires=Wed, 02 Jan 2030 03:04:05 GMT; Secure; SameSite=None",
    );
    assert.match(cookieAttributes({ sameSite: "strict" }), /; SameSite=Strict$/);
  });

  it("O13: end a cookie at once with a Max-Age below 0", () => {
    assert.match(cookieAttributes({ maxAgeSeconds: -5 }), /; Max-Age=0;/);
    assert.match(cookieAttributes({ maxAgeSeconds: 0 }), /; Max-Age=0;/);
  });

  const forged = ["/\r\nSet-Cookie: a=b", "/; Domain=evil.example", "/\n", "/\0", "/\u0085", "/é"];
  const wrong: readonly CookieAttributes[] = [
    ...forged.map((path) => ({ path })),
    { path: "" },
    { path: "app" },
    ...["", "a b", "a;b", "a\r\nb", "a\n", "-a", "a/b", ".", "a.", "ä.example"].map((domain) => ({ domain })),
    { sameSite: "none" },
    { maxAgeSeconds: 1.5 },
    { maxAgeSeconds: Number.NaN },
    { maxAgeSeconds: Number.POSITIVE_INFINITY },
    { expires: new Date(Number.NaN) },
  ];
  for (const attributes of wrong) {
    it(`refuse ${JSON.stringify(attributes)}`, () => {
      assert.throws(() => cookieAttributes(attributes), {
        code: "ERR_OPTION",
        message: /^option "(?:path|domain|secure|maxAgeSeconds|expires)" must be [^\r\n\0]*$/,
      });
    });
  }

  it("refuse a SameSite that is none, from where types do not hold", () => {
    const attributes: CookieAttributes = JSON.parse('{"sameSite": "Lax; Domain=evil"}');
    assert.throws(() => cookieAttributes(attributes), { code: "ERR_OPTION" });
  });
});

describe("a cookie's name", () => {
  it("is a token", () => {
    for (const name of ["fnlb", "FNLB_1", "a.b-c", "!#$%&'*+-.^_`|~"]) checkCookieName(name, {});
    for (const name of ["", "a b", "a=b", "a;b", "a\r\nb", "a,b", '"a"', "ä", "a\0", "a\n"]) {
      assert.throws(() => checkCookieName(name, {}), { code: "ERR_OPTION", message: /^option "name" must be a token/ });
    }
  });

  it("keeps what its prefix promises (RFC 6265bis)", () => {
    checkCookieName("__Secure-fnlb", { secure: true, domain: "a.example" });
    checkCookieName("__Host-fnlb", { secure: true });
    checkCookieName("__Host-fnlb", { secure: true, path: "/" });
    assert.throws(() => checkCookieName("__Secure-fnlb", {}), { code: "ERR_OPTION" });
    assert.throws(() => checkCookieName("__Host-fnlb", {}), { code: "ERR_OPTION" });
    assert.throws(() => checkCookieName("__host-fnlb", { secure: true, path: "/a" }), { code: "ERR_OPTION" });
    assert.throws(() => checkCookieName("__Host-fnlb", { secure: true, domain: "a.example" }), { code: "ERR_OPTION" });
  });
});

describe("a cookie's value", () => {
  it("is of cookie octets alone", () => {
    for (const value of ["", "abc-_.~", "http://[::1]:80/a?b=c&d", "a=b=="])
      assert.equal(isCookieValue(value), true, value);
    for (const value of ["a b", "a;b", "a,b", 'a"', "a\\", "a\r\nb", "ä", "\x7f", "a\n"]) {
      assert.equal(isCookieValue(value), false, value);
    }
  });
});
