import { memoryLease } from "./outbox/memory.js";
import { type Outbox, type OutboxParts, openOutbox } from "./outbox/outbox.js";
import type { StoredEvent } from "./outbox/store.js";

/** Events that come while there is no slot. */
export interface Early {
  /** Keeps them as any other does, but nothing in it counts as stored before it is in another one. */
  readonly outbox: Outbox;
  /** Hands everything on. Nothing is taken any more. */
  moveTo(next: Outbox): void;
}

/** Nobody has sent anything yet. */
export function earlyOutbox({ listener, ...parts }: OutboxParts): Early {
  let tellStored: (stored: PromiseLike<unknown>) => void;
  let next: Outbox;
  const stored = new Promise<unknown>((resolve) => {
    tellStored = resolve;
  });
  const lost = (events: readonly StoredEvent[]) =>
    tellStored(Promise.all(new Set(events.map((event) => next.push(event, event.at)))));
  const { state, store } = memoryLease({ client: "", epoch: 0, upto: 0, last: 0, events: [] });
  const kept = { state, store: { ...store, save: async () => void (await stored) } };
  const outbox = openOutbox(kept, { ...parts, listener: { ...listener, lost } });
  return {
    outbox,
    moveTo: (given) => {
      next = given;
      outbox.lose();
    },
  };
}
