import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";

/** A file of the dashboard as it goes out. */
export interface DashboardFile {
  readonly body: string;
  /** Content type. */
  readonly type: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** By path: `/`, `/dashboard.css`, … */
export type DashboardFiles = ReadonlyMap<string, DashboardFile>;

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/** The page may load what comes from its own listener and nothing else, run no code of a document, and be in no frame. */
const SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  // The page writes texts and makes elements; a script that would write markup is stopped.
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

/** Where the files are in the package: beside `package.json`, wherever this module was compiled to. */
export const DASHBOARD_DIRECTORY = new URL("dashboard/", import.meta.resolve("fnlb/package.json"));

/** Reads the files once: they are a part of the program. Rejects where one cannot be read. */
export async function loadDashboardFiles(directory: URL = DASHBOARD_DIRECTORY): Promise<DashboardFiles> {
  const names = (await readdir(directory)).filter((name) => mediaTypeOf(name) !== undefined);
  return new Map(
    await Promise.all(
      names.map(async (name) => {
        const path = name === "index.html" ? "/" : `/${name}`;
        return [path, dashboardFile(name, await readFile(new URL(name, directory), "utf8"))] as const;
      }),
    ),
  );
}

function mediaTypeOf(name: string): string | undefined {
  return MEDIA_TYPES[name.slice(name.lastIndexOf(".") + 1)];
}

function dashboardFile(name: string, body: string): DashboardFile {
  return {
    body,
    type: mediaTypeOf(name) ?? "",
    headers: {
      // Asked again each time, so that a page of an old version never talks to a new one.
      "cache-control": "no-cache",
      // Weak, because it may go out compressed.
      etag: `W/"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`,
      "content-security-policy": SECURITY_POLICY,
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-resource-policy": "same-origin",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
    },
  };
}

/** Whether a client has a file already, by its `If-None-Match` (RFC 9110, section 13.1.2). */
export function isFresh({ headers }: DashboardFile, ifNoneMatch: string | undefined): boolean {
  if (ifNoneMatch === undefined) return false;
  return ifNoneMatch
    .split(",")
    .some((tag) => tag.trim() === "*" || `W/${tag.trim().replace(/^W\//, "")}` === headers.etag);
}
