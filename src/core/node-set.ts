/** A set of nodes of one cluster as bits by `node.index`; reused from request to request. */
export class NodeSet {
  #low = 0;
  #rest: Uint32Array | undefined;

  has(index: number): boolean {
    if (index < 32) return (this.#low & (1 << index)) !== 0;
    const word = (index >>> 5) - 1;
    return this.#rest !== undefined && word < this.#rest.length && (this.#rest[word] & (1 << (index & 31))) !== 0;
  }

  add(index: number): void {
    if (index < 32) {
      this.#low |= 1 << index;
      return;
    }
    const word = (index >>> 5) - 1;
    if (this.#rest === undefined || word >= this.#rest.length) {
      const grown = new Uint32Array(word + 1);
      if (this.#rest !== undefined) grown.set(this.#rest);
      this.#rest = grown;
    }
    this.#rest[word] |= 1 << (index & 31);
  }

  delete(index: number): void {
    if (index < 32) {
      this.#low &= ~(1 << index);
      return;
    }
    const word = (index >>> 5) - 1;
    if (this.#rest !== undefined && word < this.#rest.length) this.#rest[word] &= ~(1 << (index & 31));
  }

  clear(): void {
    this.#low = 0;
    if (this.#rest !== undefined) this.#rest.fill(0);
  }

  get isEmpty(): boolean {
    return this.#low === 0 && (this.#rest === undefined || this.#rest.every((word) => word === 0));
  }
}
