import { readFileSync } from "node:fs";
import { type AdminAddress, readAdminAddress, readAdminToken } from "../../config/admin.js";
import { badOption } from "../../config/units.js";
import { type Given, single } from "../../config/value.js";

/** Where the admin API is asked, and with what. */
export interface AdminPlace {
  /** As messages name it: `127.0.0.1:9081`, `unix:/run/fnlb.sock`, `https://lb.example.com:9081`. */
  readonly name: string;
  /** Scheme, host and port of requests. */
  readonly origin: string;
  readonly socketPath?: string;
  /** For the field Authorization. */
  readonly token?: string;
  /** Absent: in the clear. */
  readonly tls?: ClientTls;
}

/** Contents of PEM files. */
export interface ClientTls {
  /** Default: the public authorities. */
  readonly ca?: string;
  /** Of this client, with its key. */
  readonly cert?: string;
  readonly key?: string;
}

/** What says where to ask; "" is nothing said. */
export interface PlaceOptions {
  /** `https://host:9081`; wins over `admin`. */
  readonly server: string;
  /** As the option of the balancer. */
  readonly admin: Given;
  readonly token: Given;
  /** What the balancer that is configured in the same place shows to its clients. */
  readonly tlsCert: Given;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** Where the admin API is asked when nobody says anything else. */
export const DEFAULT_ADMIN = { kind: "tcp", host: "127.0.0.1", port: 9081 } as const satisfies AdminAddress;

/** Throws `ERR_OPTION`. */
export function adminPlace(options: PlaceOptions): AdminPlace {
  const token = readAdminToken(options.token);
  const tls = readTls(options);
  const isTls = tls !== undefined || single(options.tlsCert) !== "";
  const place = options.server === "" ? placeOfAddress(options.admin, isTls) : placeOfUrl(options.server);
  const isSecured = place.origin.startsWith("https:");
  if (tls !== undefined && !isSecured) {
    throw badOption('option "server"', "an https:// URL where --ca, --cert or --key is given", place.name);
  }
  return { ...place, ...(token === "" ? {} : { token }), ...(isSecured ? { tls: tls ?? {} } : {}) };
}

/** What can be connected to. */
export type AdminTarget = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/** Where an admin listener can be asked from its own machine; undefined where that is not known. */
export function adminTarget(address: AdminAddress): AdminTarget | undefined {
  switch (address.kind) {
    case "off":
      return undefined;
    case "unix":
      return { socketPath: address.path };
    case "tcp": {
      if (address.port === 0) return undefined;
      const { host, port } = address;
      return { host: host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host, port };
    }
    default:
      return address satisfies never;
  }
}

type Place = Pick<AdminPlace, "name" | "origin" | "socketPath">;

function placeOfUrl(text: string): Place {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isBare =
    url !== undefined &&
    ["http:", "https:"].includes(url.protocol) &&
    `${url.pathname}${url.search}${url.hash}` === "/";
  if (!isBare || url.username !== "" || url.password !== "") {
    // Not repeated: there may be a password in it.
    throw badOption(
      'option "server"',
      "a URL such as https://lb.example.com:9081",
      isBare ? "one with a user" : text.replace(/\/\/.*@/s, "//***@"),
    );
  }
  return { name: url.origin, origin: url.origin };
}

function placeOfAddress(admin: Given, isTls: boolean): Place {
  const address = readAdminAddress(admin);
  const target = adminTarget(address.kind === "off" ? DEFAULT_ADMIN : address);
  if (target === undefined) throw badOption(admin.source, "an address with a port that can be asked", single(admin));
  const scheme = isTls ? "https" : "http";
  if ("socketPath" in target) return { name: `unix:${target.socketPath}`, origin: `${scheme}://localhost`, ...target };
  const authority = `${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}`;
  return { name: authority, origin: `${scheme}://${authority}` };
}

function readTls({ caFile, certFile, keyFile }: PlaceOptions): ClientTls | undefined {
  if (caFile === "" && certFile === "" && keyFile === "") return undefined;
  if (keyFile !== "" && certFile === "") throw badOption('option "key"', "given together with --cert", keyFile);
  return {
    ...(caFile === "" ? {} : { ca: readPem(caFile, "ca") }),
    // A key that is not named is in the file of its certificate.
    ...(certFile === "" ? {} : { cert: readPem(certFile, "cert"), key: readPem(keyFile || certFile, "key") }),
  };
}

function readPem(file: string, option: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw badOption(`option "${option}"`, `a file that can be read (${code})`, file);
  }
}
