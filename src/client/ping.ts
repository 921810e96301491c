import { connect } from "node:net";
import type { Clock } from "../core/clock.js";
import type { Ping } from "../health/ping.js";

/** A connect and nothing else, on the public socket API. */
export function ping(clock: Clock): Ping {
  return ({ address }, timeoutMs, signal) =>
    new Promise((resolve) => {
      const socket = connect(
        address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port },
      );
      const finish = (isAlive: boolean) => {
        cancel();
        signal.removeEventListener("abort", giveUp);
        socket.destroy();
        resolve(isAlive);
      };
      const giveUp = () => finish(false);
      const cancel = clock.after(timeoutMs, giveUp);
      signal.addEventListener("abort", giveUp, { once: true });
      socket.once("connect", () => finish(true));
      socket.once("error", giveUp);
      // A ping must not keep the process alive.
      socket.unref();
    });
}
