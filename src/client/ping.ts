import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Clock } from "../core/clock.js";
import type { Ping } from "../health/ping.js";
import type { NodeTls } from "./node-tls.js";

/** A connect and nothing else, on the public socket API; in TLS with the handshake, and so with the node's name. */
export function ping(clock: Clock, tls: NodeTls): Ping {
  return (node, timeoutMs, signal) =>
    new Promise((resolve) => {
      const { address } = node;
      const target = address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port };
      const security = tls.optionsFor(node);
      const socket = security === undefined ? connect(target) : connectTls({ ...target, ...security });
      const finish = (isAlive: boolean) => {
        cancel();
        signal.removeEventListener("abort", giveUp);
        // Outside of OpenSSL's read, within which the runtime says that a handshake is over.
        setImmediate(() => socket.destroy());
        resolve(isAlive);
      };
      const giveUp = () => finish(false);
      const cancel = clock.after(timeoutMs, giveUp);
      signal.addEventListener("abort", giveUp, { once: true });
      socket.once(security === undefined ? "connect" : "secureConnect", () => finish(true));
      socket.on("error", giveUp);
      // A ping must not keep the process alive.
      socket.unref();
    });
}
