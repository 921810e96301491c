import { createHash, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { FnlbError } from "../errors.js";

/** Contents of PEM files by their paths. */
export type PemTexts = ReadonlyMap<string, string>;

/** A set of files at one moment. */
export interface PemFiles {
  readonly texts: PemTexts;
  /** The same for the same contents. */
  readonly digest: string;
}

/** Reads files whole. Rejects with `ERR_OPTION` for one that cannot be read. */
export async function readPemFiles(files: readonly string[]): Promise<PemFiles> {
  const texts = new Map<string, string>();
  const hash = createHash("sha256");
  for (const file of files) {
    const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
      throw new FnlbError("ERR_OPTION", `file "${file}" must be readable, got ${error.code}`, { cause: error });
    });
    texts.set(file, text);
    // With its length, or bytes that move from one file to the next would not be noticed.
    hash.update(`${text.length}:${text}`);
  }
  return { texts, digest: hash.digest("hex") };
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** The certificates of a file, at least one. Throws `ERR_OPTION`. */
export function certificatesOf(file: string, texts: PemTexts): readonly X509Certificate[] {
  const blocks = textOf(file, texts).match(CERTIFICATE);
  if (blocks === null) throw new FnlbError("ERR_OPTION", `file "${file}" must hold a PEM certificate, got none`);
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new FnlbError(
        "ERR_OPTION",
        `file "${file}" must hold PEM certificates, got a broken one at place ${index + 1}`,
        { cause: error },
      );
    }
  });
}

/** The private key of a file. Throws `ERR_OPTION`; an encrypted key is one that nobody could open at the next start. */
export function privateKeyOf(file: string, texts: PemTexts): KeyObject {
  const text = textOf(file, texts);
  const wanted = `file "${file}" must hold a PEM private key`;
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) throw new FnlbError("ERR_OPTION", `${wanted}, got none`);
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: *4, *ENCRYPTED/m.test(text))
    throw new FnlbError("ERR_OPTION", `${wanted} without a passphrase, got an encrypted one`);
  try {
    return createPrivateKey(text);
  } catch (error) {
    throw new FnlbError("ERR_OPTION", `${wanted}, got a broken one`, { cause: error });
  }
}

/** Throws `ERR_OPTION` when the key is not that of the file's first certificate. */
export function checkKeyFits(certFile: string, keyFile: string, texts: PemTexts): readonly X509Certificate[] {
  const certificates = certificatesOf(certFile, texts);
  if (!certificates[0].checkPrivateKey(privateKeyOf(keyFile, texts))) {
    throw new FnlbError(
      "ERR_OPTION",
      `file "${keyFile}" must hold the key of the first certificate in "${certFile}", got another key`,
    );
  }
  return certificates;
}

export function textOf(file: string, texts: PemTexts): string {
  const text = texts.get(file);
  if (text === undefined) throw new Error(`${file} was not read`);
  return text;
}
