import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Config, ListenAddress } from "../config/config.js";
import { EXIT } from "./exit.js";
import { adminTarget } from "./remote/admin-place.js";

const TIMEOUT_MS = 3000;
/** A status line, a head and a word of JSON. */
const ANSWER_BYTES_MAX = 64 * 1024;

/**
 * Asks the balancer of this config whether traffic should come: at its admin listener where it has one, else at the first
 * listener that answers without a certificate, whether it listens. Resolves to the exit code.
 */
export async function healthcheck(config: Config): Promise<number> {
  const question = questionFor(config);
  if ("reason" in question) return unhealthy(question.reason);
  const answer = await ask(question);
  if (answer.startsWith("HTTP/1.1 200 ")) return EXIT.CLEAN;
  const status = /\r\n\r\n[\s\S]*"status":"([a-z-]+)"/.exec(answer)?.[1];
  return unhealthy(`${answer.split("\r\n")[0]}${status === undefined ? "" : `, ${status}`}`);
}

function unhealthy(reason: string): number {
  process.stderr.write(`unhealthy: ${reason}\n`);
  return EXIT.CANNOT_START;
}

type Target = { readonly path: string } | { readonly host: string; readonly port: number };

interface Question {
  readonly target: Target;
  /** Begin with a PROXY protocol header. */
  readonly isProxied: boolean;
  readonly isTls: boolean;
  /** A whole request. */
  readonly request: string;
}

function questionFor({ admin, adminTlsCertFile, listeners }: Config): Question | { readonly reason: string } {
  const place = adminTarget(admin);
  if (place !== undefined) {
    return {
      target: "socketPath" in place ? { path: place.socketPath } : place,
      isProxied: false,
      isTls: adminTlsCertFile !== "",
      request: "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    };
  }
  // One that wants certificates of clients gets no answer out of whoever has none.
  const listener = listeners.find(({ tls }) => tls?.clientCertificates !== "require");
  if (listener === undefined) {
    return { reason: "every listener requires certificates of clients, add one that does not, such as a unix socket" };
  }
  const target = targetOf(listener.address);
  if (target === undefined) return { reason: "the address of fd@ and port 0 is not known here, name it with --listen" };
  return {
    target,
    isProxied: listener.proxyProtocol,
    isTls: listener.tls !== undefined,
    request: "OPTIONS * HTTP/1.1\r\nHost: fnlb\r\nConnection: close\r\n\r\n",
  };
}

function targetOf(address: ListenAddress): Target | undefined {
  if (address.kind === "unix") return { path: address.path };
  if (address.kind === "fd" || address.port === 0) return undefined;
  const host = address.host === "0.0.0.0" ? "127.0.0.1" : address.host === "::" ? "::1" : address.host;
  return { host, port: address.port };
}

/** What came back, or why nothing did. */
function ask({ target, isProxied, isTls, request }: Question): Promise<string> {
  return new Promise((resolve) => {
    const carrier = connect(target);
    let socket = carrier;
    let answer = "";
    const finish = (outcome: string) => {
      // Outside of OpenSSL's read, which does not survive it.
      setImmediate(() => socket.destroy());
      resolve(outcome);
    };
    // OpenSSL's messages have several lines.
    const onError = ({ message }: Error) => finish(message.replaceAll(/\s+/g, " ").trim());
    carrier.setTimeout(TIMEOUT_MS, () => finish(answer === "" ? `no answer within ${TIMEOUT_MS} ms` : answer));
    carrier.on("error", onError);
    carrier.on("connect", () => {
      if (isProxied) carrier.write("PROXY UNKNOWN\r\n");
      if (isTls) {
        // Not verified: a process of this machine is asked by an address that its certificate is not for, and it is
        // told nothing. Whoever can listen there in its place could as well end it.
        socket = connectTls({ socket: carrier, rejectUnauthorized: false });
        socket.on("error", onError);
      }
      socket.on("data", (chunk: Buffer) => {
        answer += chunk.toString("latin1");
        // A good one is good from its first line on; a bad one may say why behind its head.
        if (answer.startsWith("HTTP/1.1 200 ") || answer.length > ANSWER_BYTES_MAX) finish(answer);
      });
      socket.on("close", () => finish(answer === "" ? "the connection was closed" : answer));
      socket.write(request);
    });
  });
}
