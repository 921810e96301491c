import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { closeSync, constants, openSync, symlinkSync, unlinkSync, writeSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import type { TlsListenerConfig } from "../../src/config/tls.js";
import { CertificateStore, type CertificateSummary } from "../../src/system/certificate-store.js";
import { CertificateWatch } from "../../src/system/certificate-watch.js";
import { type CertificateFiles, certificateFiles, createAuthority, encryptKey } from "../support/certificates.js";
import { eventually, FakeClock, turns } from "../support/fake-clock.js";

const authority = createAuthority();
const localhost = authority.issue({ dns: ["localhost"] });

/** What is valid is told by the day. */
const today = Object.assign(new FakeClock(), { wallNow: () => Date.now() });

function storeOf(config: Partial<TlsListenerConfig>, onExpired: (expired: CertificateSummary) => void = () => {}) {
  const complete = {
    certificates: [],
    clientCaFile: "",
    clientCertificates: "none",
    minVersion: "1.2",
    ...config,
  } as const;
  return new CertificateStore({ clock: today, onExpired }, complete);
}

async function assertRefuses(t: TestContext, write: (files: CertificateFiles) => [string, string], reason: RegExp) {
  const files = certificateFiles(t);
  const [certFile, keyFile] = write(files);
  await assert.rejects(
    storeOf({ certificates: [{ certFile, keyFile }] }).reload(),
    (error: Error & { code: string }) => {
      assert.equal(error.code, "ERR_OPTION");
      assert.match(error.message, reason);
      assert.ok(error.message.includes(certFile) || error.message.includes(keyFile), error.message);
      return true;
    },
  );
}

describe("certificates that cannot be used", () => {
  const good = (files: CertificateFiles) => files.writePair("good", localhost);

  it("a missing file", (t) =>
    assertRefuses(t, (files) => [good(files).certFile, "/nowhere/at/all.key"], /must be readable, got ENOENT/));
  it("a directory", (t) => assertRefuses(t, (files) => ["/", good(files).keyFile], /got EISDIR/));
  it("a certificate file without a certificate", (t) =>
    assertRefuses(t, (files) => [files.write("c", "hello"), good(files).keyFile], /PEM certificate, got none/));
  it("a broken certificate", (t) =>
    assertRefuses(
      t,
      (files) => [files.write("c", localhost.cert.replace(/MII.{20}/, "")), good(files).keyFile],
      /got a broken one at place 1/,
    ));
  it("a broken certificate further down the chain", (t) =>
    assertRefuses(
      t,
      (files) => [files.write("c", localhost.cert + localhost.cert.replace(/MII.{20}/, "")), good(files).keyFile],
      /got a broken one at place 2/,
    ));
  it("a key file without a key", (t) =>
    assertRefuses(t, (files) => [good(files).certFile, files.write("k", localhost.cert)], /private key, got none/));
  it("a broken key", (t) =>
    assertRefuses(
      t,
      (files) => [good(files).certFile, files.write("k", localhost.key.replace(/MI.{20}/, ""))],
      /private key, got a broken one/,
    ));
  it("an encrypted key", (t) =>
    assertRefuses(
      t,
      (files) => [good(files).certFile, files.write("k", encryptKey(localhost.key))],
      /without a passphrase, got an encrypted one/,
    ));
  it("the key of another certificate", (t) =>
    assertRefuses(
      t,
      (files) => [good(files).certFile, files.write("k", authority.issue({ dns: ["b"] }).key)],
      /must hold the key of the first certificate/,
    ));
  it("a chain in the wrong order", (t) =>
    assertRefuses(
      t,
      (files) => [files.write("c", authority.cert + localhost.cert), good(files).keyFile],
      /must hold the key of the first certificate/,
    ));

  it("a key that is too weak", (t) =>
    assertRefuses(
      t,
      (files) => {
        const { certFile, keyFile } = files.writePair("weak", authority.issue({ dns: ["weak"], key: "weak" }));
        return [certFile, keyFile];
      },
      /must hold a certificate that TLS can use, got .*too small/,
    ));

  it("none at all", () => {
    assert.throws(() => storeOf({}), { code: "ERR_OPTION", message: /must have a certificate/ });
  });

  it("client certificates without an authority", (t) => {
    const certificates = [good(certificateFiles(t))];
    for (const clientCertificates of ["request", "require"] as const)
      assert.throws(() => storeOf({ certificates, clientCertificates }), { code: "ERR_OPTION", message: /CA file/ });
  });

  it("a file of authorities without any", async (t) => {
    const files = certificateFiles(t);
    const clientCaFile = files.write("ca", "");
    const store = storeOf({ certificates: [good(files)], clientCaFile, clientCertificates: "require" });
    await assert.rejects(store.reload(), { code: "ERR_OPTION", message: /PEM certificate, got none/ });
  });
});

describe("certificate store", () => {
  it("takes a certificate that is not valid today, and says so", async (t) => {
    const files = certificateFiles(t);
    const old = new Date(Date.UTC(2020, 0, 1));
    const issued = authority.issue({ dns: ["old"], validFrom: old, validUntil: new Date(Date.UTC(2021, 0, 1)) });
    const future = authority.issue({ dns: ["new"], validFrom: new Date(Date.now() + 86_400_000) });
    const expired: CertificateSummary[] = [];
    const certificates = [
      files.writePair("old", issued),
      files.writePair("good", localhost),
      files.writePair("new", future),
    ];
    await storeOf({ certificates }, (summary) => expired.push(summary)).reload();
    assert.deepEqual(
      expired.map(({ names }) => names),
      [["old"], ["new"]],
    );
    assert.deepEqual([expired[0].validFromMs, expired[0].validUntilMs], [old.getTime(), Date.UTC(2021, 0, 1)]);
  });

  it("finds exact names before wildcards, wildcards for one label, and the first certificate for the rest", async (t) => {
    const files = certificateFiles(t);
    const pairs = {
      first: authority.issue({ dns: ["first.example"] }),
      wild: authority.issue({ dns: ["*.Example.com"] }),
      exact: authority.issue({ dns: ["a.example.com", "wild.example.org"] }),
      common: authority.issue({ name: "common.example", dns: [] }),
      shadowed: authority.issue({ name: "shadowed.example", dns: ["first.example", "named.example"] }),
    };
    const store = storeOf({ certificates: Object.entries(pairs).map(([name, pair]) => files.writePair(name, pair)) });
    await store.reload();
    const ownNames = {
      first: "first.example",
      wild: "x.example.com",
      exact: "wild.example.org",
      common: "common.example",
      shadowed: "named.example",
    };
    const owners = new Map(Object.entries(ownNames).map(([owner, name]) => [store.find(name), owner]));
    assert.equal(owners.size, 5);
    const expected = {
      "a.example.com": "exact",
      "A.EXAMPLE.com": "exact",
      "b.example.com": "wild",
      "b.a.example.com": "first",
      "example.com": "first",
      ".example.com": "first",
      "*.example.com": "wild",
      "common.example": "common",
      "shadowed.example": "first",
      unknown: "first",
      "": "first",
    };
    const found = Object.keys(expected).map((name) => [name, owners.get(store.find(name))]);
    assert.deepEqual(Object.fromEntries(found), expected);
  });

  it("says once that files have changed, and keeps the old ones when the new ones are bad", async (t) => {
    const files = certificateFiles(t);
    const pair = files.writePair("a", localhost);
    const store = storeOf({ certificates: [pair] });
    let swaps = 0;
    store.onSwap(() => swaps++);
    assert.equal(await store.reload(), true);
    assert.equal(await store.reload(), false);
    const before = store.first;
    const other = authority.issue({ dns: ["other"] });
    files.write("a.crt", other.cert);
    await assert.rejects(store.reload(), /must hold the key/);
    assert.equal(store.first, before);
    assert.deepEqual(store.certificates[0].names, ["localhost"]);
    files.write("a.key", other.key);
    assert.equal(await store.reload(), true);
    assert.deepEqual([store.certificates[0].names, swaps], [["other"], 2]);
  });

  it("swaps nothing when one of several certificates is bad", async (t) => {
    const files = certificateFiles(t);
    const store = storeOf({ certificates: [files.writePair("a", localhost), files.writePair("b", localhost)] });
    await store.reload();
    files.writePair("a", authority.issue({ dns: ["newer"] }));
    files.write("b.key", "");
    await assert.rejects(store.reload());
    assert.deepEqual(
      store.certificates.map(({ names }) => names),
      [["localhost"], ["localhost"]],
    );
  });
});

/** The writing end, as soon as somebody reads. */
async function openFifo(path: string): Promise<number> {
  for (;;) {
    try {
      return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ENXIO");
      await turns(1);
    }
  }
}

describe("reading files again", () => {
  it("sees what was replaced while an earlier look was still under way", async (t) => {
    const files = certificateFiles(t);
    const { certFile, keyFile } = files.writePair("a", localhost);
    const store = storeOf({ certificates: [{ certFile, keyFile }] });
    await store.reload();
    // A FIFO is read when the test says so: this look has the old certificate, and waits for its key.
    unlinkSync(keyFile);
    execFileSync("mkfifo", [keyFile]);
    const earlier = store.reload();
    const writer = await openFifo(keyFile);
    files.writePair("a", authority.issue({ dns: ["next"] }));
    const later = store.reload();
    writeSync(writer, localhost.key);
    closeSync(writer);
    assert.deepEqual(await Promise.all([earlier, later]), [false, true]);
    assert.deepEqual(store.certificates[0].names, ["next"]);
  });
});

describe("certificate watch", () => {
  async function watch(t: TestContext, certFile: string, keyFile: string) {
    const clock = new FakeClock();
    const store = storeOf({ certificates: [{ certFile, keyFile }] });
    await store.reload();
    const news: string[] = [];
    let looks = 0;
    const subject = {
      reload: () => {
        const reload = store.reload();
        void reload.catch(() => {}).then(() => looks++);
        return reload;
      },
    };
    const stop = new AbortController();
    const certificates = new CertificateWatch({
      clock,
      onReloaded: () => news.push(store.certificates[0].names.join()),
      onFailed: (_subject, { message }) => news.push(message.includes("must hold the key") ? "misfit" : "gone"),
      subjects: () => [subject],
    });
    const loop = certificates.run(stop.signal);
    t.after(() => stop.abort());
    return {
      news,
      clock,
      /** Somebody asks for a look. */
      async ask() {
        await certificates.look();
        return news.splice(0);
      },
      /** Ten seconds pass, and what they bring is over. */
      async look() {
        const before = looks;
        await eventually(() => clock.pending === 1);
        await clock.advance(10_000);
        await eventually(() => looks > before && clock.pending === 1);
        return news.splice(0);
      },
      async stop() {
        stop.abort();
        await loop;
      },
    };
  }

  it("notices a rotation in two steps, tells once what does not fit in between, and ends with its signal", async (t) => {
    const files = certificateFiles(t);
    const { certFile, keyFile } = files.writePair("a", localhost);
    const { look, clock, stop, news } = await watch(t, certFile, keyFile);
    assert.deepEqual(await look(), []);
    const next = authority.issue({ dns: ["next"] });
    files.write("a.crt", next.cert);
    assert.deepEqual(await look(), ["misfit"]);
    assert.deepEqual(await look(), []);
    unlinkSync(keyFile);
    assert.deepEqual(await look(), ["gone"]);
    files.write("a.key", next.key);
    assert.deepEqual(await look(), ["next"]);
    assert.deepEqual(await look(), []);
    files.write("a.crt", localhost.cert);
    assert.deepEqual(await look(), ["misfit"], "told again when it goes wrong again");
    await clock.advance(9000);
    assert.deepEqual(news, [], "not before its time");
    await stop();
    assert.equal(clock.pending, 0);
  });

  it("looks at once when asked, tells whoever asks also what was told before, and then not again", async (t) => {
    const files = certificateFiles(t);
    const { certFile, keyFile } = files.writePair("a", localhost);
    const { look, ask, stop } = await watch(t, certFile, keyFile);
    files.write("a.key", authority.issue({ dns: ["next"] }).key);
    assert.deepEqual(await ask(), ["misfit"]);
    assert.deepEqual(await look(), []);
    assert.deepEqual(await ask(), ["misfit"]);
    files.writePair("a", authority.issue({ dns: ["next"] }));
    assert.deepEqual(await Promise.all([ask(), ask()]), [["next"], []], "one change is told once");
    assert.deepEqual(await look(), []);
    await stop();
  });

  it("notices a symbolic link above the file that now leads elsewhere", async (t) => {
    const files = certificateFiles(t);
    const old = files.writePair("old", localhost);
    const next = files.writePair("next", authority.issue({ dns: ["next"] }));
    const [certFile, keyFile] = [old.certFile, old.keyFile].map((path) => path.replace(/old/, "live"));
    symlinkSync(old.certFile, certFile);
    symlinkSync(old.keyFile, keyFile);
    const { look, stop } = await watch(t, certFile, keyFile);
    unlinkSync(certFile);
    unlinkSync(keyFile);
    symlinkSync(next.certFile, certFile);
    symlinkSync(next.keyFile, keyFile);
    assert.deepEqual(await look(), ["next"]);
    await stop();
  });
});

describe("certificates of the tests", () => {
  it("are what they say", () => {
    const parsed = new X509Certificate(authority.issue({ dns: ["x.example", "*.y.example"], ips: ["127.0.0.1"] }).cert);
    assert.equal(parsed.subjectAltName, "DNS:x.example, DNS:*.y.example, IP Address:127.0.0.1");
    assert.ok(parsed.checkIssued(new X509Certificate(authority.cert)));
    assert.ok(parsed.verify(new X509Certificate(authority.cert).publicKey));
    assert.equal(
      createHash("sha256").update(parsed.raw).digest("hex"),
      parsed.fingerprint256.replaceAll(":", "").toLowerCase(),
    );
  });
});
