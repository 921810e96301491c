import { createClient, RESP_TYPES } from "@redis/client";
import type { Clock } from "../core/clock.js";

/** What came back: a text, a number, nothing, a list of texts (a hash is a list of names and values), or lists of them. */
export type Reply = string | number | null | readonly string[] | readonly (readonly string[])[];

export interface RedisConnectionDependencies {
  readonly clock: Clock;
  /** Called for each message of the channel. */
  readonly onMessage: (message: string) => void;
}

export interface RedisConnectionOptions {
  /** `redis://user:password@host:6379/0`, `rediss://…` over TLS, `unix:///run/redis.sock?db=0`. */
  readonly url: string;
  /** Channel that is listened to. */
  readonly channel: string;
  /** Time for the connection to stand, and for each answer; a server that takes longer is given up. */
  readonly timeoutMs: number;
}

/**
 * One connection to a Redis or Valkey server, for commands and messages alike (RESP 3). It is used until its first failure
 * and never repaired: a command whose answer is late would otherwise keep the next ones waiting, or be answered out of turn.
 */
export class RedisConnection {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #client: ReturnType<typeof makeClient>;
  /** Destroys the socket even while it connects, which the client cannot. */
  readonly #stop = new AbortController();
  /** What to call when the connection ends before the answer is there. */
  readonly #unanswered = new Set<(reason: Error) => void>();
  #onEnd: (reason: Error) => void = () => {};
  /** Resolves when it can be used no longer, to the reason. */
  readonly ended = new Promise<Error>((resolve) => {
    this.#onEnd = resolve;
  });

  private constructor({ clock }: RedisConnectionDependencies, { url, timeoutMs }: RedisConnectionOptions) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#client = makeClient(url, timeoutMs, this.#stop.signal);
    this.#client.on("error", (error: Error) => this.end(error));
    this.#client.on("end", () => this.end(new Error("closed")));
  }

  /** Rejects when it does not stand in time, or is aborted before. */
  static async open(
    dependencies: RedisConnectionDependencies,
    options: RedisConnectionOptions,
    signal: AbortSignal,
  ): Promise<RedisConnection> {
    const connection = new RedisConnection(dependencies, options);
    const onAbort = () => connection.end(new Error("aborted"));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await connection.#answered(async () => {
        await connection.#client.connect();
        await connection.#client.subscribe(options.channel, dependencies.onMessage);
      });
      return connection;
    } catch (error) {
      connection.end(error as Error);
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Rejects with the server's error, or when there is no answer in time: the connection has ended then. */
  send(command: readonly string[]): Promise<Reply> {
    return this.#answered(() => this.#client.sendCommand<Reply>(command));
  }

  /** Ends it now: what waits for an answer is rejected. Twice is fine. */
  end(reason: Error): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(reason);
    this.#client.destroy();
    for (const fail of [...this.#unanswered]) fail(reason);
    this.#onEnd(reason);
  }

  /** Not by the client's own timeouts: they end when a command has been written. */
  #answered<T>(ask: () => Promise<T>): Promise<T> {
    const { signal } = this.#stop;
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const finish = () => {
        cancel();
        this.#unanswered.delete(fail);
      };
      const fail = (reason: Error) => {
        finish();
        reject(reason);
      };
      const late = () => this.end(new Error(`no answer within ${this.#timeoutMs} ms`));
      const cancel = this.#clock.after(this.#timeoutMs, late);
      this.#unanswered.add(fail);
      ask().then((answer) => {
        finish();
        resolve(answer);
      }, fail);
    });
  }
}

function makeClient(url: string, timeoutMs: number, signal: AbortSignal) {
  return createClient({
    url,
    name: "fnlb",
    // Whoever opened the connection decides what follows its end.
    socket: { connectTimeout: timeoutMs, reconnectStrategy: false, signal },
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: "disabled",
    commandOptions: { timeout: 0, typeMapping: { [RESP_TYPES.MAP]: Array } },
  });
}
