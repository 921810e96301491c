// Hot path: a good answer is one addition to `answers`. Unlike `SlidingMeter` this knows no time, so that an answer costs
// no look at the clock: whoever owns it rolls it on.

/** Slices of a window: it moves on by a tenth of its length. */
export const SLICES = 10;

/** Answers and faults of one node over the newest slices of time. Its owner counts, and rolls it on. */
export class FaultWindow {
  /** Good and bad ones in the window. */
  answers = 0;
  faults = 0;
  /** What each slice has had; that of the newest is known when it ends. */
  readonly #answers = new Uint32Array(SLICES);
  readonly #faults = new Uint32Array(SLICES);
  #newest = 0;
  #answersBefore = 0;
  #faultsBefore = 0;

  /** Share of the answers that are faults, 0 to 1; 0 without answers. */
  get faultShare(): number {
    return this.answers === 0 ? 0 : this.faults / this.answers;
  }

  /** So many slices of time have passed: as many of the oldest are forgotten. */
  roll(slices: number): void {
    for (let passed = Math.min(slices, SLICES); passed > 0; passed--) {
      this.#answers[this.#newest] = this.answers - this.#answersBefore;
      this.#faults[this.#newest] = this.faults - this.#faultsBefore;
      this.#newest = (this.#newest + 1) % SLICES;
      this.answers -= this.#answers[this.#newest];
      this.faults -= this.#faults[this.#newest];
      this.#answersBefore = this.answers;
      this.#faultsBefore = this.faults;
    }
  }

  clear(): void {
    this.roll(SLICES);
  }
}
