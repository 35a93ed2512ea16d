import type { StoredEvent } from "./store.js";

/** Events in order of their numbers, and how many bytes they are. */
export interface Queue {
  readonly events: readonly StoredEvent[];
  /** Of all payloads. */
  readonly bytes: number;
  /** At the end. */
  add(event: StoredEvent): void;
  /** Position of the first event with a number of at least `seq`; how many there are, where there is none. */
  search(seq: number): number;
  /** Takes out those from position `first` to before `end`. */
  take(first: number, end?: number): StoredEvent[];
  /** Puts another one in the place of each. */
  replace(other: (event: StoredEvent, index: number) => StoredEvent): void;
}

/** With these in it. */
export function newQueue(given: readonly StoredEvent[]): Queue {
  let events = [...given];
  const bytesOf = (some: readonly StoredEvent[]) => some.reduce((sum, { bytes }) => sum + bytes, 0);
  let bytes = bytesOf(events);
  return {
    get events() {
      return events;
    },
    get bytes() {
      return bytes;
    },
    add: (event) => {
      events.push(event);
      bytes += event.bytes;
    },
    search: (seq) => {
      let low = 0;
      let high = events.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if ((events[middle]?.seq ?? 0) < seq) low = middle + 1;
        else high = middle;
      }
      return low;
    },
    take: (first, end = events.length) => {
      const taken = events.splice(first, end - first);
      bytes -= bytesOf(taken);
      return taken;
    },
    replace: (other) => {
      events = events.map(other);
      bytes = bytesOf(events);
    },
  };
}
