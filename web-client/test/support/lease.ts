import type { Lease, SlotState, SlotStore, StoredEvent } from "../../src/outbox/store.js";

/** A slot whose store keeps what it is told; `released` gets what it holds when it is given back. */
export function keptLease(state: SlotState, released: (state: SlotState) => void): Lease {
  let { client, epoch, upto, last } = state;
  const events = new Map<number, StoredEvent>();
  const keep = (more: readonly StoredEvent[]) => {
    for (const event of more) events.set(event.seq, event);
    last = Math.max(last, more.at(-1)?.seq ?? 0);
  };
  keep(state.events);

  const store: SlotStore = {
    append: async (more) => keep(more),
    settle: (to) => {
      upto = Math.max(upto, to);
      for (const seq of events.keys()) if (seq <= upto) events.delete(seq);
    },
    drop: (seqs) => {
      for (const seq of seqs) events.delete(seq);
    },
    restart: async (next) => {
      ({ client, epoch, upto, last } = next);
      events.clear();
      keep(next.events);
    },
    release: async () => released({ client, epoch, upto, last, events: [...events.values()] }),
  };
  return { state, store };
}
