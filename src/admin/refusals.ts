import type { Clock } from "../core/clock.js";
import { audit, type Log } from "../core/log.js";

const INTERVAL_MS = 1000;

/** A request that was turned away, as the log has it: nothing that it chose itself but its method and path, cut short. */
export interface Refusal {
  readonly client: string;
  readonly code: string;
  readonly method: string;
  readonly path: string;
}

const PATH_LENGTH_MAX = 200;

/** Tells of requests that were turned away at most once a second: anybody can send as many as he likes. */
export class Refusals {
  readonly #clock: Clock;
  readonly #log: Log;
  #toldMs = Number.NEGATIVE_INFINITY;
  #untold = 0;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  note({ client, code, method, path }: Refusal): void {
    const now = this.#clock.now();
    if (now - this.#toldMs < INTERVAL_MS) {
      this.#untold++;
      return;
    }
    const fields = { client, code, method, path: path.slice(0, PATH_LENGTH_MAX), untold: this.#untold };
    audit(this.#log, "warn", { event: "admin_refused", ...fields });
    this.#toldMs = now;
    this.#untold = 0;
  }
}
