import type { Lease, SlotState, SlotStore, Slots, StoredEvent } from "./store.js";

/** A slot of this page alone. `released` gets what it holds when it is given back. */
export function memoryLease(state: SlotState, released: (state: SlotState) => void = () => {}): Lease {
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
      for (const seq of events.keys()) {
        if (seq > upto) break;
        events.delete(seq);
      }
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

/** Slots that live as long as the page; what is released can be had again. */
export function memorySlots(options: { prefix: string; now: () => number; newId: () => string }): Slots {
  const free: SlotState[] = [];
  const id = options.newId();
  let slots = 0;
  const hold = (state: SlotState) => memoryLease(state, (left) => void free.push(left));
  return {
    persistent: false,
    lease: async () => {
      const left = free.shift();
      if (left) return hold(left);
      slots += 1;
      return hold({ client: `${options.prefix}-${id}-${slots}`, epoch: options.now(), upto: 0, last: 0, events: [] });
    },
    adopt: async () => {
      const index = free.findIndex(({ events }) => events.length > 0);
      const [left] = index < 0 ? [] : free.splice(index, 1);
      return left ? hold(left) : null;
    },
  };
}
