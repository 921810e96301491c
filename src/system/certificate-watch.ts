import { type Clock, sleep } from "../core/clock.js";
import type { Reloadable } from "./file-snapshot.js";

export interface CertificateWatchDependencies<Subject extends Reloadable> {
  readonly clock: Clock;
  /** Called once for each change that is in use now. */
  readonly onReloaded: (subject: Subject) => void;
  /** Called once for each way in which new files cannot be used, not at every look at them. */
  readonly onFailed: (subject: Subject, error: Error) => void;
}

export interface CertificateWatchOptions {
  /** Time between two looks at the files. Default 10,000. */
  readonly intervalMs?: number;
}

const INTERVAL_MS = 10_000;

/**
 * Looks at the files of every subject again and again until the signal ends it. By their contents: notifications of
 * the system get lost when a file is replaced by a rename or when a symbolic link above it is, as Kubernetes does.
 */
export async function runCertificateWatch<Subject extends Reloadable>(
  { clock, onReloaded, onFailed }: CertificateWatchDependencies<Subject>,
  { intervalMs = INTERVAL_MS }: CertificateWatchOptions,
  /** Read anew at each look. */
  subjects: () => readonly Subject[],
  signal: AbortSignal,
): Promise<void> {
  const failing = new Map<Subject, string>();
  const look = async (subject: Subject): Promise<void> => {
    try {
      const hasChanged = await subject.reload();
      failing.delete(subject);
      if (hasChanged) onReloaded(subject);
    } catch (error) {
      // A certificate and its key are two files: between the two replacements they do not fit for a moment.
      const { message } = error as Error;
      if (failing.get(subject) === message) return;
      failing.set(subject, message);
      onFailed(subject, error as Error);
    }
  };
  while (await sleep(clock, intervalMs, signal)) await Promise.all(subjects().map(look));
}
