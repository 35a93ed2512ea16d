import type { StoredEvent } from "./store.js";

/** Slots at the front that may stay unused before the array is cut. */
const SLACK = 1024;

/** Events in order of their numbers, gaps allowed. Taking from the front and from near it is cheap, however many there are. */
export class Row {
  #events: (StoredEvent | undefined)[] = [];
  #head = 0;
  #bytes = 0;

  /** How many events. */
  get length(): number {
    return this.#events.length - this.#head;
  }

  /** Their payload bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Appends; numbers rise. */
  push(event: StoredEvent): void {
    this.#events.push(event);
    this.#bytes += event.payload.length;
  }

  /** The event at a position from the front. */
  at(index: number): StoredEvent | undefined {
    return this.#events[this.#head + index];
  }

  /** Position of the first event with a number of at least `seq`; `length` if there is none. */
  search(seq: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.at(middle)?.seq ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Whether number `seq` is here. */
  has(seq: number): boolean {
    return this.at(this.search(seq))?.seq === seq;
  }

  /** Takes out `count` events from position `index` on; what is before them moves, what is behind does not. */
  take(index: number, count: number): StoredEvent[] {
    const from = this.#head + index;
    const taken = this.#events.slice(from, from + count).filter((event) => event !== undefined);
    for (const { payload } of taken) this.#bytes -= payload.length;
    const head = this.#head + taken.length;
    this.#events.copyWithin(head, this.#head, from);
    this.#events.fill(undefined, this.#head, head);
    this.#head = head;
    if (head > SLACK && head * 2 > this.#events.length) {
      this.#events.splice(0, head);
      this.#head = 0;
    }
    return taken;
  }

  /** Everything, in order. */
  all(): StoredEvent[] {
    return this.#events.slice(this.#head).filter((event) => event !== undefined);
  }
}
