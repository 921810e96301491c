import type { Clock } from "../core/clock.js";
import type { Counters } from "../core/counters.js";
import { FnlbError } from "../errors.js";
import { AccessLog } from "../proxy/access-log.js";
import { LineFile } from "../system/line-file.js";

/** An access log and the file that it goes to. */
export class AccessLogFile {
  readonly log: AccessLog;
  readonly #file: LineFile;

  /** `"-"` is standard output. Throws `ERR_OPTION` where the file cannot be opened. */
  constructor(path: string, clock: Clock, counters: Counters) {
    try {
      this.#file = new LineFile(path, { onDropped: (lines) => this.log.dropped(lines) });
    } catch (error) {
      throw new FnlbError("ERR_OPTION", `option "access-log" must be a file that can be written: ${String(error)}`, {
        cause: error,
      });
    }
    this.log = new AccessLog(clock, counters, this.#file);
  }

  /** After a rotation. Throws the system's error when the file cannot be opened; the old one is then still written. */
  reopen(): void {
    this.log.flush();
    this.#file.reopen();
  }

  /** Resolves when everything is written. Twice is fine. */
  close(): Promise<void> {
    this.log.flush();
    return this.#file.close();
  }
}
