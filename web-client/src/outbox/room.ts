import type { DropReason, OutboxParts } from "./outbox.js";
import type { Queue } from "./queue.js";
import type { StoredEvent } from "./store.js";

/** Keeps a queue within its limits: drops what is too old or too much. */
export interface Room {
  /** Drops what has waited too long. */
  expire(): void;
  /** Drops the oldest events not on their way until `more` bytes fit; nothing, and false, when they would not. */
  make(more: number): boolean;
}

/** Of what is in `queue`, numbers up to `kept()` are on their way and not dropped; `dropped` is called before anybody else is told. */
export function newRoom(
  queue: Queue,
  { limits, now, listener }: OutboxParts,
  kept: () => number,
  dropped: () => void,
): Room {
  const drop = (reason: DropReason, first: number, end: number) => {
    if (end <= first) return;
    const events: StoredEvent[] = queue.take(first, end);
    dropped();
    listener.dropped(reason, events);
  };

  /** Events are about as old as their place says, so the first that is young enough ends the search. */
  const expire = () => {
    const oldest = now() - limits.ageMs;
    const first = queue.search(kept() + 1);
    let end = first;
    for (let event = queue.events[end]; event && event.at <= oldest; event = queue.events[end]) end += 1;
    drop("expired", first, end);
  };

  return {
    expire,
    make: (more) => {
      const excess = () => queue.bytes + more - limits.bytes;
      if (excess() > 0) expire();
      const first = queue.search(kept() + 1);
      let end = first;
      for (let left = excess(); left > 0; end += 1) {
        const event = queue.events[end];
        if (!event) return false;
        left -= event.payload.length;
      }
      drop("overflow", first, end);
      return true;
    },
  };
}
