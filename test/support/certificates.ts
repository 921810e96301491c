import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { CertificateConfig } from "../../src/config/tls.js";

/** X.509 certificates, written here: a test needs bad ones that no tool makes without a fight, and no tool is needed. */

/** A certificate with its key, in PEM. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** Common name of the subject. */
  readonly name?: string;
  readonly dns?: readonly string[];
  /** IPv4 only. */
  readonly ips?: readonly string[];
  /** Default: yesterday. */
  readonly validFrom?: Date;
  /** Default: in ten days. */
  readonly validUntil?: Date;
  readonly usage?: "server" | "client";
  /** Default: an elliptic curve. The weak one has 512 bits. */
  readonly key?: "ec" | "rsa" | "weak";
}

export interface CertificateAuthority {
  /** Its own certificate, in PEM. */
  readonly cert: string;
  issue(options: CertificateOptions): Issued;
  /** An authority that this one vouches for. */
  intermediate(name: string): CertificateAuthority;
}

const DAY_MS = 86_400_000;

const Tag = { BOOLEAN: 1, INTEGER: 2, BITS: 3, OCTETS: 4, OID: 6, UTF8: 12, TIME: 23, SEQUENCE: 48, SET: 49 } as const;
const EXPLICIT_0 = 0xa0;
const EXPLICIT_3 = 0xa3;

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const sequence = (...contents: readonly Buffer[]) => der(Tag.SEQUENCE, ...contents);

function oid(text: string): Buffer {
  const [first, second, ...rest] = text.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const digits = [part & 127];
    for (let high = part >> 7; high > 0; high >>= 7) digits.unshift((high & 127) | 128);
    bytes.push(...digits);
  }
  return der(Tag.OID, Buffer.from(bytes));
}

const nameOf = (name: string) => sequence(der(Tag.SET, sequence(oid("2.5.4.3"), der(Tag.UTF8, Buffer.from(name)))));

/** `YYMMDDHHMMSSZ` */
const timeOf = (date: Date) => der(Tag.TIME, Buffer.from(`${date.toISOString().slice(2, 19).replaceAll(/\D/g, "")}Z`));

const extension = (id: string, value: Buffer) => sequence(oid(id), der(Tag.OCTETS, value));

const pem = (label: string, bytes: Buffer) =>
  `-----BEGIN ${label}-----\n${bytes.toString("base64").replaceAll(/.{64}(?=.)/g, "$&\n")}\n-----END ${label}-----\n`;

const ECDSA_SHA256 = sequence(oid("1.2.840.10045.4.3.2"));
const TRUE = der(Tag.BOOLEAN, Buffer.from([255]));
/** keyCertSign and cRLSign */
const SIGNS_CERTIFICATES = der(Tag.BITS, Buffer.from([1, 0x06]));
const USAGES = { server: "1.3.6.1.5.5.7.3.1", client: "1.3.6.1.5.5.7.3.2" };

interface Signer {
  readonly name: string;
  readonly key: KeyObject;
}

let serial = 1;

function certify(
  issuer: Signer,
  publicKey: KeyObject,
  name: string,
  { dns = [], ips = [], validFrom, validUntil, usage }: CertificateOptions,
): string {
  const now = Date.now();
  const names = [
    ...dns.map((text) => der(0x82, Buffer.from(text, "latin1"))),
    ...ips.map((ip) => der(0x87, Buffer.from(ip.split(".").map(Number)))),
  ];
  const extensions =
    usage === undefined
      ? [extension("2.5.29.19", sequence(TRUE)), extension("2.5.29.15", SIGNS_CERTIFICATES)]
      : [extension("2.5.29.37", sequence(oid(USAGES[usage])))];
  if (names.length > 0) extensions.push(extension("2.5.29.17", sequence(...names)));
  const serialNumber = Buffer.alloc(5);
  serialNumber.writeUInt32BE(serial++, 1);
  const body = sequence(
    der(EXPLICIT_0, der(Tag.INTEGER, Buffer.from([2]))),
    der(Tag.INTEGER, Buffer.concat([Buffer.from([1]), serialNumber])),
    ECDSA_SHA256,
    nameOf(issuer.name),
    sequence(timeOf(validFrom ?? new Date(now - DAY_MS)), timeOf(validUntil ?? new Date(now + 10 * DAY_MS))),
    nameOf(name),
    publicKey.export({ type: "spki", format: "der" }),
    der(EXPLICIT_3, sequence(...extensions)),
  );
  const signature = der(Tag.BITS, Buffer.from([0]), sign("sha256", body, issuer.key));
  return pem("CERTIFICATE", sequence(body, ECDSA_SHA256, signature));
}

const keyPair = (kind: CertificateOptions["key"] = "ec") =>
  kind === "ec"
    ? generateKeyPairSync("ec", { namedCurve: "P-256" })
    : generateKeyPairSync("rsa", { modulusLength: kind === "weak" ? 512 : 2048 });
const keyPem = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }) as string;

/** A fresh authority that nobody knows. */
export function createAuthority(name = "test authority"): CertificateAuthority {
  const { publicKey, privateKey } = keyPair();
  const signer = { name, key: privateKey };
  return authorityOf(signer, certify(signer, publicKey, name, {}));
}

function authorityOf(signer: Signer, cert: string): CertificateAuthority {
  return {
    cert,
    issue(options) {
      const { publicKey, privateKey } = keyPair(options.key);
      const name = options.name ?? options.dns?.[0] ?? "test";
      return { cert: certify(signer, publicKey, name, { usage: "server", ...options }), key: keyPem(privateKey) };
    },
    intermediate(name) {
      const { publicKey, privateKey } = keyPair();
      return authorityOf({ name, key: privateKey }, certify(signer, publicKey, name, {}));
    },
  };
}

/** A certificate that vouches for itself. */
export function selfSigned(options: CertificateOptions): Issued {
  const { publicKey, privateKey } = keyPair();
  const name = options.name ?? "self";
  return {
    cert: certify({ name, key: privateKey }, publicKey, name, { usage: "server", ...options }),
    key: keyPem(privateKey),
  };
}

/** The same key behind a passphrase. */
export function encryptKey(key: string): string {
  return createPrivateKey(key).export({
    type: "pkcs8",
    format: "pem",
    cipher: "aes-256-cbc",
    passphrase: "secret",
  }) as string;
}

/** Files of one test, in a directory that goes with it. */
export interface CertificateFiles {
  /** Writes a file anew, by a rename as careful programs do, and returns its path. */
  write(name: string, text: string): string;
  /** Writes `name.crt` and `name.key`. */
  writePair(name: string, issued: Issued): CertificateConfig;
}

export function certificateFiles(t: TestContext): CertificateFiles {
  const directory = mkdtempSync(join(tmpdir(), "fnlb-tls-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const write = (name: string, text: string) => {
    const path = join(directory, name);
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
    return path;
  };
  return {
    write,
    writePair: (name, { cert, key }) => ({ certFile: write(`${name}.crt`, cert), keyFile: write(`${name}.key`, key) }),
  };
}
