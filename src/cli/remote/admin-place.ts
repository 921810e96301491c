import { readFileSync } from "node:fs";
import { type ListenAddress, parseListenAddress } from "../../config/listen-address.js";
import { badOption } from "../../config/units.js";

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
  /** As the option of the balancer; `source` is how complaints name it. */
  readonly admin: { readonly text: string; readonly source: string };
  /** The admin listener at `admin` speaks TLS. */
  readonly isTls: boolean;
  readonly token: string;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** Where the admin API is asked when nobody says anything else. */
const DEFAULT_ADMIN = "127.0.0.1:9081";

/** Throws `ERR_OPTION`. */
export function adminPlace(options: PlaceOptions): AdminPlace {
  const { server, admin, token } = options;
  const place =
    server === "" ? placeOfAddress(admin.text === "" ? DEFAULT_ADMIN : admin.text, admin.source, options.isTls) : placeOfUrl(server);
  const tls = readTls(options);
  if (tls !== undefined && !place.origin.startsWith("https:")) {
    throw badOption('option "server"', "an https:// URL where --ca, --cert or --key is given", place.name);
  }
  return {
    ...place,
    ...(token === "" ? {} : { token }),
    ...(place.origin.startsWith("https:") ? { tls: tls ?? {} } : {}),
  };
}

type Place = Pick<AdminPlace, "name" | "origin" | "socketPath">;

function placeOfUrl(text: string): Place {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isBare =
    url !== undefined && ["http:", "https:"].includes(url.protocol) && `${url.pathname}${url.search}${url.hash}` === "/";
  if (!isBare || url.username !== "" || url.password !== "") {
    // Not repeated: there may be a password in it.
    throw badOption('option "server"', "a URL such as https://lb.example.com:9081", isBare ? "one with a user" : text);
  }
  return { name: url.origin, origin: url.origin };
}

function placeOfAddress(text: string, source: string, isTls: boolean): Place {
  const address = parseListenAddress(text);
  const target = address === undefined ? undefined : targetOf(address);
  if (target === undefined) {
    throw badOption(source, "an address that can be asked, such as 127.0.0.1:9081 or unix:/path", text);
  }
  const scheme = isTls ? "https" : "http";
  if (target.kind === "unix") return { name: `unix:${target.path}`, origin: `${scheme}://localhost`, socketPath: target.path };
  return { name: target.authority, origin: `${scheme}://${target.authority}` };
}

type Target =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly authority: string };

/** Undefined where the address is not known here. */
function targetOf(address: ListenAddress): Target | undefined {
  if (address.kind === "unix") return address;
  if (address.kind === "fd" || address.port === 0) return undefined;
  const host = address.host === "0.0.0.0" ? "127.0.0.1" : address.host === "::" ? "::1" : address.host;
  return { kind: "tcp", authority: `${host.includes(":") ? `[${host}]` : host}:${address.port}` };
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
