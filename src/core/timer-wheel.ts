// One wheel for every timeout of the data path. Hot path: a request arms and re-arms its timers, so an entry is
// linked into the wheel by itself (no node, no closure), and moving its deadline later is a single store.

export interface TimerOwner {
  /** The entry's deadline has passed; it is no longer scheduled and may be scheduled again here. Must not throw. */
  onTimer(entry: TimerEntry): void;
}

/** A deadline that lives as long as its owner and is scheduled over and over. An owner of several tells them apart by identity. */
export class TimerEntry {
  readonly owner: TimerOwner;
  /** Tick at which the owner is called. */
  deadlineTick = 0;
  /** Tick at which the wheel comes past the entry; never after the deadline. */
  visitTick = 0;
  /** Neighbours in a slot; the entry itself while it is not scheduled. They belong to the wheel. */
  previous: TimerEntry = this;
  next: TimerEntry = this;

  constructor(owner: TimerOwner) {
    this.owner = owner;
  }

  get isScheduled(): boolean {
    return this.next !== this;
  }
}

export interface TimerWheelOptions {
  /** Length of a tick in milliseconds: how coarse the wheel is. */
  readonly tickMs: number;
  /** Ticks in a revolution. Longer delays work: their entries are visited once a revolution. */
  readonly slots: number;
  /** What the clock says now, in milliseconds. Default 0. */
  readonly nowMs?: number;
}

/**
 * A hashed timing wheel: scheduling and cancelling cost the same at any number of entries.
 *
 * An entry never fires early. Delays count in whole ticks, rounded up, and from the end of the current tick,
 * because coarse time is up to a tick behind and a timeout that fires early blames a node for nothing. So an
 * entry fires at most one tick late, or two when its delay is not a whole number of ticks.
 *
 * The wheel has no clock: whoever has one calls `advance` once a tick. Time in which the process itself stood
 * still should not be passed on in one leap, or every timer fires before the bytes that waited are read.
 *
 * @see Varghese, Lauck: Hashed and Hierarchical Timing Wheels, 1987
 */
export class TimerWheel {
  readonly tickMs: number;
  readonly #slots: TimerEntry[];
  /** Entries of the slot that is being visited; owners may cancel or schedule any of them meanwhile. */
  readonly #visited = new TimerEntry(SENTINEL_OWNER);
  #nowMs: number;
  #tick: number;
  #size = 0;

  constructor({ tickMs, slots, nowMs = 0 }: TimerWheelOptions) {
    this.tickMs = tickMs;
    this.#slots = Array.from({ length: slots }, () => new TimerEntry(SENTINEL_OWNER));
    this.#nowMs = nowMs;
    this.#tick = Math.floor(nowMs / tickMs);
  }

  /** Coarse time in milliseconds: what `advance` was last given. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Entries that are scheduled. */
  get size(): number {
    return this.#size;
  }

  /** Calls the owner after `delayMs`. An entry that is already scheduled gets the new deadline instead of its old one. */
  schedule(entry: TimerEntry, delayMs: number): void {
    const deadlineTick = this.#tick + Math.ceil(delayMs / this.tickMs) + 1;
    entry.deadlineTick = deadlineTick;
    if (entry.isScheduled) {
      // The usual case, a deadline that moves on: the wheel finds it moved when it comes past the old one.
      if (entry.visitTick <= deadlineTick) return;
      unlink(entry);
    } else {
      this.#size++;
    }
    this.#link(entry);
  }

  /** The owner is not called. Nothing happens when the entry is not scheduled. */
  cancel(entry: TimerEntry): void {
    if (!entry.isScheduled) return;
    unlink(entry);
    this.#size--;
  }

  /** Moves time on to `nowMs` and calls the owners of all entries whose deadline it passes. Time never goes back. */
  advance(nowMs: number): void {
    if (nowMs <= this.#nowMs) return;
    const last = this.#tick;
    this.#nowMs = nowMs;
    // Set before any owner is called: what an owner schedules counts from now, not from the slot it was found in.
    this.#tick = Math.floor(nowMs / this.tickMs);
    // A revolution visits every entry, however far the leap.
    const first = Math.max(last + 1, this.#tick - this.#slots.length + 1);
    for (let tick = first; tick <= this.#tick; tick++) this.#visit(this.#slots[tick % this.#slots.length]);
  }

  #visit(slot: TimerEntry): void {
    if (!slot.isScheduled) return;
    moveAll(slot, this.#visited);
    while (this.#visited.isScheduled) {
      const entry = this.#visited.next;
      unlink(entry);
      if (entry.deadlineTick > this.#tick) {
        this.#link(entry);
      } else {
        this.#size--;
        entry.owner.onTimer(entry);
      }
    }
  }

  #link(entry: TimerEntry): void {
    const visitTick = Math.min(entry.deadlineTick, this.#tick + this.#slots.length);
    entry.visitTick = visitTick;
    const slot = this.#slots[visitTick % this.#slots.length];
    entry.previous = slot.previous;
    entry.next = slot;
    slot.previous.next = entry;
    slot.previous = entry;
  }
}

/** The head of a slot is an entry too, so that linking and unlinking have no special case; it is never due. */
const SENTINEL_OWNER: TimerOwner = { onTimer() {} };

function unlink(entry: TimerEntry): void {
  entry.previous.next = entry.next;
  entry.next.previous = entry.previous;
  entry.previous = entry;
  entry.next = entry;
}

/** Moves the entries behind one head, which has some, behind another, which has none. */
function moveAll(from: TimerEntry, to: TimerEntry): void {
  to.next = from.next;
  to.previous = from.previous;
  to.next.previous = to;
  to.previous.next = to;
  from.next = from;
  from.previous = from;
}
