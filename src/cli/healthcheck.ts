import { connect } from "node:net";
import type { Config, ListenAddress } from "../config/config.js";
import { EXIT } from "./exit.js";

const TIMEOUT_MS = 3000;

/** Asks the balancer that listens at the first address of this config how it is; resolves to the exit code. */
export async function healthcheck({ listeners }: Config): Promise<number> {
  const [{ address, proxyProtocol }] = listeners;
  const target = targetOf(address);
  if (target === undefined) {
    process.stderr.write("unhealthy: the address of fd@ and port 0 is not known here, name it with --listen\n");
    return EXIT.CANNOT_START;
  }
  const preface = proxyProtocol ? "PROXY UNKNOWN\r\n" : "";
  const answer = await ask(target, `${preface}OPTIONS * HTTP/1.1\r\nHost: fnlb\r\nConnection: close\r\n\r\n`);
  if (answer.startsWith("HTTP/1.1 200 ")) return EXIT.CLEAN;
  process.stderr.write(`unhealthy: ${answer.split("\r\n")[0]}\n`);
  return EXIT.CANNOT_START;
}

type Target = { readonly path: string } | { readonly host: string; readonly port: number };

function targetOf(address: ListenAddress): Target | undefined {
  if (address.kind === "unix") return { path: address.path };
  if (address.kind === "fd" || address.port === 0) return undefined;
  const host = address.host === "0.0.0.0" ? "127.0.0.1" : address.host === "::" ? "::1" : address.host;
  return { host, port: address.port };
}

/** What came back, or why nothing did. */
function ask(target: Target, request: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(target);
    let answer = "";
    const finish = (outcome: string) => {
      socket.destroy();
      resolve(outcome);
    };
    socket.setTimeout(TIMEOUT_MS, () => finish(`no answer within ${TIMEOUT_MS} ms`));
    socket.on("connect", () => socket.write(request));
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString("latin1");
      if (answer.includes("\r\n")) finish(answer);
    });
    socket.on("error", (error) => finish(error.message));
    socket.on("close", () => finish(answer === "" ? "the connection was closed" : answer));
  });
}
