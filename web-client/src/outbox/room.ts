import { EXPIRY_MAX_MS, EXPIRY_MIN_MS } from "./bounds.js";
import type { DropReason, OutboxParts } from "./outbox.js";
import type { Queue } from "./queue.js";
import type { StoredEvent } from "./store.js";

/** Keeps a queue within its limits: drops what is too old or too much. */
export interface Room {
  /** Drops those from position `first` to before `end`. */
  drop(reason: DropReason, first: number, end?: number): void;
  /** Drops what has waited too long. */
  expire(): void;
  /** Drops the oldest events not on their way until `more` bytes fit; nothing, and false, when they would not. */
  make(more: number): boolean;
  /** Drops what has waited too long as soon as it has, from now on; with nothing in the queue, or when all is `over`, no more. */
  watch(over: boolean): void;
}

/** Of what is in `queue`, numbers up to `kept()` are on their way and not dropped; `dropped` is called before anybody else is told. */
export function newRoom(
  queue: Queue,
  { limits, clock, now, listener }: OutboxParts,
  kept: () => number,
  dropped: () => void,
): Room {
  let cancel: (() => void) | null = null;

  const drop = (reason: DropReason, first: number, end = queue.events.length) => {
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

  const watch = (over = false) => {
    const oldest = queue.events[0];
    if (over || !oldest) {
      cancel?.();
      cancel = null;
      return;
    }
    if (cancel) return;
    const dueMs = oldest.at + limits.ageMs - now();
    cancel = clock.after(Math.min(Math.max(dueMs, EXPIRY_MIN_MS), EXPIRY_MAX_MS), () => {
      cancel = null;
      expire();
      watch();
    });
  };

  return {
    drop,
    expire,
    watch,
    make: (more) => {
      const excess = () => queue.bytes + more - limits.bytes;
      if (excess() <= 0) return true;
      expire();
      const first = queue.search(kept() + 1);
      let end = first;
      for (let left = excess(); left > 0; end += 1) {
        const event = queue.events[end];
        if (!event) return false;
        left -= event.bytes;
      }
      drop("overflow", first, end);
      return true;
    },
  };
}
