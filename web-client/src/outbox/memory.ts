import { StorageError } from "../errors/storage-error.js";
import type { Lease, SlotState, Slots } from "./store.js";

/** A slot of this page alone. The outbox that it is for keeps everything anyway. */
export function memoryLease(state: SlotState): Lease {
  const save = async () => {
    throw new StorageError("failed", "there is no storage");
  };
  return { state, store: { reserved: Number.MAX_SAFE_INTEGER, save, trim: () => {}, release: async () => {} } };
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
