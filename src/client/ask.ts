import { request } from "node:http";
import { request as requestByTls } from "node:https";
import { isIP } from "node:net";
import type { Clock } from "../core/clock.js";
import { hostOf } from "../core/node.js";
import { type Ask, answerOf } from "../health/silence-watch.js";
import { type NodeTlsOptions, serverNameOf } from "./node-client.js";

/** `OPTIONS *` on a fresh connection: every status is an answer. */
export function ask(clock: Clock, timeoutMs: number, tls: NodeTlsOptions): Ask {
  return (node, signal) =>
    new Promise((resolve) => {
      const { address } = node;
      const serverName = serverNameOf(node, tls);
      const isSecure = address.kind === "tcp" && address.tls === true;
      const question = (isSecure ? requestByTls : request)({
        ...(isSecure ? { ...tls, servername: isIP(serverName) === 0 ? serverName : "" } : {}),
        method: "OPTIONS",
        path: "*",
        headers: { host: hostOf(node), connection: "close" },
        agent: false,
        ...(address.kind === "unix" ? { socketPath: address.path } : { host: address.host, port: address.port }),
      });
      let isConnected = false;
      const finish = (answer: Awaited<ReturnType<Ask>>) => {
        cancel();
        signal.removeEventListener("abort", stop);
        question.destroy();
        resolve(answer);
      };
      const stop = () => finish("unasked");
      const cancel = clock.after(timeoutMs, () => finish("silent"));
      signal.addEventListener("abort", stop, { once: true });
      question.on("information", () => finish("answers"));
      question.on("response", () => finish("answers"));
      question.on("socket", (socket) => {
        socket.once(isSecure ? "secureConnect" : "connect", () => {
          isConnected = true;
        });
      });
      question.on("error", ({ code = "EIO" }: NodeJS.ErrnoException) => {
        finish(isConnected ? "silent" : answerOf(code));
      });
      question.end();
    });
}
