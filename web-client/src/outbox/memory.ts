import type { Lease, SlotState, Slots } from "./store.js";

/** A slot of this page alone. The outbox that it is for keeps everything anyway. */
export function memoryLease(state: SlotState): Lease {
  const nothing = async () => {};
  return { state, store: { reserved: Number.MAX_SAFE_INTEGER, save: nothing, trim: nothing, release: nothing } };
}

/** Slots that end with the page. */
export function memorySlots(options: { prefix: string; now: () => number; newId: () => string }): Slots {
  const { prefix, now, newId } = options;
  return {
    persistent: false,
    lease: async () => memoryLease({ client: `${prefix}-${newId()}-1`, epoch: now(), upto: 0, last: 0, events: [] }),
    adopt: async () => null,
  };
}
