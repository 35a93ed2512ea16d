import { memoryLease } from "./outbox/memory.js";
import { Outbox } from "./outbox/outbox.js";

/** Events that come while there is no slot. */
export interface Early {
  /** Keeps them as any other does, but nothing in it counts as stored before it is in another one. */
  readonly outbox: Outbox;
  /** Hands everything on. Nothing is taken any more. */
  moveTo(next: Outbox): void;
}

/** Nobody has sent anything yet. */
export function earlyOutbox(parts: ConstructorParameters<typeof Outbox>[1]): Early {
  let tellStored: (stored: Promise<unknown>) => void;
  const stored = new Promise<void>((resolve) => {
    tellStored = (pushed) => resolve(pushed.then(() => {}));
  });
  const { state, store } = memoryLease({ client: "", epoch: 0, upto: 0, last: 0, events: [] });
  const outbox = new Outbox({ state, store: { ...store, append: () => stored } }, parts);
  return {
    outbox,
    moveTo: (next) => {
      // So that what is not stored can be read.
      outbox.hurried = true;
      tellStored(Promise.all([...outbox.from(1)].map(({ payload }) => next.push(payload))));
      void outbox.release();
    },
  };
}
