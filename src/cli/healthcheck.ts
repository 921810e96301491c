import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Config, ListenAddress, ListenerConfig } from "../config/config.js";
import { EXIT } from "./exit.js";

const TIMEOUT_MS = 3000;

/** Asks the balancer that listens at the first address of this config how it is; resolves to the exit code. */
export async function healthcheck({ listeners }: Config): Promise<number> {
  // One that wants certificates of clients gets no answer out of whoever has none.
  const listener = listeners.find(({ tls }) => tls?.clientCertificates !== "require");
  if (listener === undefined) {
    return unhealthy("every listener requires certificates of clients, add one that does not, such as a unix socket");
  }
  const target = targetOf(listener.address);
  if (target === undefined) return unhealthy("the address of fd@ and port 0 is not known here, name it with --listen");
  const answer = await ask(target, listener);
  return answer.startsWith("HTTP/1.1 200 ") ? EXIT.CLEAN : unhealthy(answer.split("\r\n")[0]);
}

function unhealthy(reason: string): number {
  process.stderr.write(`unhealthy: ${reason}\n`);
  return EXIT.CANNOT_START;
}

type Target = { readonly path: string } | { readonly host: string; readonly port: number };

function targetOf(address: ListenAddress): Target | undefined {
  if (address.kind === "unix") return { path: address.path };
  if (address.kind === "fd" || address.port === 0) return undefined;
  const host = address.host === "0.0.0.0" ? "127.0.0.1" : address.host === "::" ? "::1" : address.host;
  return { host, port: address.port };
}

const REQUEST = "OPTIONS * HTTP/1.1\r\nHost: fnlb\r\nConnection: close\r\n\r\n";

/** What came back, or why nothing did. */
function ask(target: Target, { proxyProtocol, tls }: ListenerConfig): Promise<string> {
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
    carrier.setTimeout(TIMEOUT_MS, () => finish(`no answer within ${TIMEOUT_MS} ms`));
    carrier.on("error", onError);
    carrier.on("connect", () => {
      if (proxyProtocol) carrier.write("PROXY UNKNOWN\r\n");
      if (tls !== undefined) {
        // Not verified: a process of this machine is asked by an address that its certificate is not for, and it is
        // told nothing. Whoever can listen there in its place could as well end it.
        socket = connectTls({ socket: carrier, rejectUnauthorized: false });
        socket.on("error", onError);
      }
      socket.on("data", (chunk: Buffer) => {
        answer += chunk.toString("latin1");
        if (answer.includes("\r\n")) finish(answer);
      });
      socket.on("close", () => finish(answer === "" ? "the connection was closed" : answer));
      socket.write(REQUEST);
    });
  });
}
