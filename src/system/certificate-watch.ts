import { type Clock, sleep } from "../core/clock.js";
import type { Reloadable } from "./file-snapshot.js";

export interface CertificateWatchDependencies<Subject extends Reloadable> {
  readonly clock: Clock;
  /** Called once for each change that is in use now. */
  readonly onReloaded: (subject: Subject) => void;
  /** Called once for each way in which new files cannot be used, not at every look at them. */
  readonly onFailed: (subject: Subject, error: Error) => void;
  /** Read anew at each look. */
  readonly subjects: () => readonly Subject[];
}

export interface CertificateWatchOptions {
  /** Time between two looks at the files. Default 10,000. */
  readonly intervalMs?: number;
}

const INTERVAL_MS = 10_000;

/**
 * Looks at the files of every subject again and again. By their contents: notifications of the system get lost when a
 * file is replaced by a rename or when a symbolic link above it is, as Kubernetes does.
 */
export class CertificateWatch<Subject extends Reloadable> {
  readonly #dependencies: CertificateWatchDependencies<Subject>;
  readonly #intervalMs: number;
  /** What was told of subjects whose files cannot be used. */
  readonly #failing = new WeakMap<Subject, string>();

  constructor(
    dependencies: CertificateWatchDependencies<Subject>,
    { intervalMs = INTERVAL_MS }: CertificateWatchOptions = {},
  ) {
    this.#dependencies = dependencies;
    this.#intervalMs = intervalMs;
  }

  /** Looks until the signal ends it. */
  async run(signal: AbortSignal): Promise<void> {
    while (await sleep(this.#dependencies.clock, this.#intervalMs, signal)) await this.#lookAtAll();
  }

  /** Looks now. Whoever asks for it hears of failures that have been told already, too. */
  async look(): Promise<void> {
    for (const subject of this.#dependencies.subjects()) this.#failing.delete(subject);
    await this.#lookAtAll();
  }

  async #lookAtAll(): Promise<void> {
    await Promise.all(this.#dependencies.subjects().map((subject) => this.#lookAt(subject)));
  }

  async #lookAt(subject: Subject): Promise<void> {
    const { onReloaded, onFailed } = this.#dependencies;
    try {
      const hasChanged = await subject.reload();
      this.#failing.delete(subject);
      if (hasChanged) onReloaded(subject);
    } catch (error) {
      // A certificate and its key are two files: between the two replacements they do not fit for a moment.
      const { message } = error as Error;
      if (this.#failing.get(subject) === message) return;
      this.#failing.set(subject, message);
      onFailed(subject, error as Error);
    }
  }
}
