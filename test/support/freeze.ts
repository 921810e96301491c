/** Keeps this process, every loop and socket of it, from doing anything for that long, as a busy machine would. */
export function freeze(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
