// Hot path: `noteGood` runs for every good answer. Unlike `SlidingMeter` it knows no time, so that an answer costs two
// additions and no look at the clock: whoever owns it rolls it on.

/** Slices of a window: it moves on by a tenth of its length. */
export const SLICES = 10;

/** Answers and faults of one node over the newest slices of time. */
export class FaultWindow {
  /** Good and bad ones in the window. */
  answers = 0;
  faults = 0;
  readonly #answers = new Uint32Array(SLICES);
  readonly #faults = new Uint32Array(SLICES);
  #slice = 0;

  /** Share of the answers that are faults, 0 to 1; 0 without answers. */
  get faultShare(): number {
    return this.answers === 0 ? 0 : this.faults / this.answers;
  }

  noteGood(): void {
    this.answers++;
    this.#answers[this.#slice]++;
  }

  noteFault(): void {
    this.noteGood();
    this.faults++;
    this.#faults[this.#slice]++;
  }

  /** So many slices of time have passed: as many of the oldest are forgotten. */
  roll(slices: number): void {
    for (let passed = Math.min(slices, SLICES); passed > 0; passed--) {
      this.#slice = (this.#slice + 1) % SLICES;
      this.answers -= this.#answers[this.#slice];
      this.faults -= this.#faults[this.#slice];
      this.#answers[this.#slice] = 0;
      this.#faults[this.#slice] = 0;
    }
  }

  clear(): void {
    this.roll(SLICES);
  }
}
