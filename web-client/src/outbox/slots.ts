import type { Clock } from "../clock.js";
import { SLOTS_MAX } from "./bounds.js";
import { answer, type Write } from "./database.js";
import type { Grasp } from "./hold.js";
import { indexedDbStore } from "./indexeddb.js";
import { load } from "./load.js";
import { memorySlots } from "./memory.js";
import type { Lease, Slots } from "./store.js";

/** What slots in a database work with. */
export interface SlotsParts {
  readonly write: Write;
  readonly grasp: Grasp;
  /** Kept with the database, part of every client name. */
  readonly id: string;
  readonly prefix: string;
  readonly now: () => number;
  readonly newId: () => string;
  readonly clock: Clock;
  /** Called when `persistent` may have changed. */
  readonly onPersistence?: (() => void) | undefined;
}

/** Slots in IndexedDB. What the database cannot do, the page's memory does. */
export function indexedDbSlots(parts: SlotsParts): Slots {
  const { write, grasp, id, prefix, now, newId } = parts;
  /** Slots that could not be written; 0 stands for those that had to be kept in memory. */
  const failing = new Set<number>();
  const tell = (slot: number, persistent: boolean) => {
    if (persistent) failing.delete(slot);
    else failing.add(slot);
    parts.onPersistence?.();
  };

  const take = async (slot: number): Promise<Lease | null> => {
    const hold = await grasp(slot);
    if (!hold) return null;
    try {
      // A slot that cannot be read may have used any number: it gets a name that nobody has used.
      const fresh = (broken: boolean) => `${prefix}-${broken ? newId() : id}-${slot}`;
      const loaded = await write((tables) => load(tables, slot, now(), fresh));
      const onPersistence = (persistent: boolean) => tell(slot, persistent);
      return { state: loaded.state, store: indexedDbStore({ ...parts, slot, loaded, hold, onPersistence }) };
    } catch (error) {
      await hold.release().catch(() => {});
      throw error;
    }
  };

  return {
    /** False while a slot of this page could not be written, and once one had to be kept in memory. */
    get persistent() {
      return failing.size === 0;
    },
    /** As `Slots.lease`; a slot in memory where the database or the locks fail, or all slots are taken. */
    lease: async () => {
      try {
        for (let slot = 1; slot <= SLOTS_MAX; slot += 1) {
          const lease = await take(slot);
          if (lease) return lease;
        }
      } catch {
        // Whatever storage or locks say no to, the page's memory can do.
      }
      tell(0, false);
      return memorySlots(parts).lease();
    },
    adopt: async () => {
      const keys = await write(({ chunks }) => answer(chunks.getAllKeys()));
      const slots = new Set(keys.map((key) => Number(Array.isArray(key) && key[0])));
      for (const slot of slots) {
        const lease = slot > 0 ? await take(slot) : null;
        if (lease && lease.state.events.length > 0) return lease;
        await lease?.store.release();
      }
      return null;
    },
  };
}
