import assert from "node:assert/strict";
import { type PemTexts, readPemFiles } from "./pem-files.js";

/** Something that was made of files and can be made of them again. */
export interface Reloadable {
  /**
   * Reads the files again. True: they had changed and are in use from now on. False: they are as they were. Rejects
   * with `ERR_OPTION` when what they hold now cannot be used; then nothing has changed.
   */
  reload(): Promise<boolean>;
}

/** A value that is made of the contents of files, and made anew as a whole when one of them has changed. */
export class FileSnapshot<Value> implements Reloadable {
  readonly #files: readonly string[];
  readonly #build: (texts: PemTexts) => Value;
  #current: { readonly value: Value; readonly digest: string } | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** `build` throws `ERR_OPTION` for contents that cannot be used. */
  constructor(files: readonly string[], build: (texts: PemTexts) => Value) {
    this.#files = [...new Set(files)].filter((file) => file !== "");
    this.#build = build;
  }

  /** The value of the last `reload` that succeeded. */
  get value(): Value {
    assert(this.#current !== undefined, "used before it was loaded");
    return this.#current.value;
  }

  reload(): Promise<boolean> {
    // One after the other: a slow read of old files must not end behind a quick one of new files, and one that runs
    // already may have missed what made somebody ask.
    const reload = this.#last.then(() => this.#reloadNow());
    this.#last = reload.catch(() => {});
    return reload;
  }

  async #reloadNow(): Promise<boolean> {
    const { texts, digest } = await readPemFiles(this.#files);
    if (this.#current?.digest === digest) return false;
    this.#current = { value: this.#build(texts), digest };
    return true;
  }
}
