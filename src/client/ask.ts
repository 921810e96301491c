import { request } from "node:http";
import { request as requestTls } from "node:https";
import type { Clock } from "../core/clock.js";
import { hostOf } from "../core/node.js";
import type { Ask } from "../health/silence-watch.js";
import type { NodeTls } from "./node-tls.js";

/** `OPTIONS *` on a fresh connection: every status is an answer. A node that cannot be dialled gives none. */
export function ask(clock: Clock, timeoutMs: number, tls: NodeTls): Ask {
  return (node, signal) =>
    new Promise((resolve) => {
      const { address } = node;
      const security = tls.optionsFor(node);
      const question = (security === undefined ? request : requestTls)({
        ...(security ?? {}),
        method: "OPTIONS",
        path: "*",
        headers: { host: hostOf(node), connection: "close" },
        agent: false,
        ...(address.kind === "unix" ? { socketPath: address.path } : { host: address.host, port: address.port }),
      });
      const finish = (answer: Awaited<ReturnType<Ask>>) => {
        cancel();
        signal.removeEventListener("abort", stop);
        // Outside of OpenSSL's read, from which the answer comes.
        setImmediate(() => question.destroy());
        resolve(answer);
      };
      const stop = () => finish("stopped");
      const cancel = clock.after(timeoutMs, () => finish("silent"));
      signal.addEventListener("abort", stop, { once: true });
      question.on("information", () => finish("answers"));
      question.on("response", () => finish("answers"));
      question.on("error", () => finish("silent"));
      question.end();
    });
}
