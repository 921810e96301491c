// Hot path: joined and left once a request.

/** An exchange that waits for the first byte of its node, as a link of its node's list. */
export interface WaitingLink {
  /** Coarse time at which it began to wait. */
  waitingSinceMs: number;
  previousWaiting: WaitingLink | undefined;
  nextWaiting: WaitingLink | undefined;
  /** The node has become suspect: go elsewhere if that is allowed. */
  leaveSuspect(): void;
}

/** Those who wait for one node, oldest first; to join and to leave costs the same however many they are. */
export class WaitingList {
  oldest: WaitingLink | undefined;
  #newest: WaitingLink | undefined;

  add(link: WaitingLink): void {
    link.previousWaiting = this.#newest;
    link.nextWaiting = undefined;
    if (this.#newest === undefined) this.oldest = link;
    else this.#newest.nextWaiting = link;
    this.#newest = link;
  }

  remove(link: WaitingLink): void {
    if (link.previousWaiting === undefined) this.oldest = link.nextWaiting;
    else link.previousWaiting.nextWaiting = link.nextWaiting;
    if (link.nextWaiting === undefined) this.#newest = link.previousWaiting;
    else link.nextWaiting.previousWaiting = link.previousWaiting;
    link.previousWaiting = undefined;
    link.nextWaiting = undefined;
  }

  /** A copy: who is told to leave does so at once. */
  all(): WaitingLink[] {
    const links: WaitingLink[] = [];
    for (let link = this.oldest; link !== undefined; link = link.nextWaiting) links.push(link);
    return links;
  }
}
