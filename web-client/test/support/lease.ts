import type { Lease, SlotState } from "../../src/outbox/store.js";

/** A slot whose store keeps what it is told; `released` gets what it holds when it is given back. */
export function keptLease(state: SlotState, released: (state: SlotState) => void): Lease {
  let kept = state;
  const keep = ({ client, epoch, upto, last, events }: SlotState) => {
    kept = { client, epoch, upto, last, events: [...events] };
  };
  return {
    state,
    store: {
      reserved: Number.MAX_SAFE_INTEGER,
      save: async (now) => keep(now),
      trim: keep,
      release: async () => released(kept),
    },
  };
}
