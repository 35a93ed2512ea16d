import { memoryLease } from "./outbox/memory.js";
import { type Outbox, type OutboxParts, openOutbox } from "./outbox/outbox.js";

/** Events that come while there is no slot. */
export interface Early {
  /** Keeps them as any other does, but nothing in it counts as stored before it is in another one. */
  readonly outbox: Outbox;
  /** Hands everything on. Nothing is taken any more. */
  moveTo(next: Outbox): void;
}

/** Nobody has sent anything yet. */
export function earlyOutbox(parts: OutboxParts): Early {
  let tellStored: (stored: PromiseLike<unknown>) => void;
  const stored = new Promise<unknown>((resolve) => {
    tellStored = resolve;
  });
  const { state, store } = memoryLease({ client: "", epoch: 0, upto: 0, last: 0, events: [] });
  const outbox = openOutbox({ state, store: { ...store, save: async () => void (await stored) } }, parts);
  return {
    outbox,
    moveTo: (next) => {
      tellStored(Promise.all(outbox.events.map(({ payload }) => next.push(payload))));
      void outbox.release();
    },
  };
}
