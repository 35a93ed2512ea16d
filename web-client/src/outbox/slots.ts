import type { Clock } from "../clock.js";
import { answer, type Database } from "./database.js";
import type { Grasp, Hold } from "./hold.js";
import { IndexedDbStore } from "./indexeddb.js";
import { chunkRange, isSlotRecord, load } from "./load.js";
import { memorySlots } from "./memory.js";
import type { Lease, Slots } from "./store.js";

/** What slots in a database work with. */
export interface SlotsParts {
  readonly database: Database;
  readonly grasp: Grasp;
  /** Kept with the database, part of every client name. */
  readonly id: string;
  readonly prefix: string;
  readonly now: () => number;
  readonly newId: () => string;
  readonly clock: Clock;
  /** Called when `persistent` has changed. */
  readonly onPersistence: () => void;
}

const SLOTS_MAX = 64;
const UNUSED_MS = 30 * 24 * 3_600_000;

/** Slots in IndexedDB. What the database cannot do, the page's memory does. */
export class IndexedDbSlots implements Slots {
  readonly #parts: SlotsParts;
  readonly #memory: Slots;
  readonly #failing = new Set<Hold>();
  #persistent = true;

  constructor(parts: SlotsParts) {
    this.#parts = parts;
    this.#memory = memorySlots(parts);
  }

  /** False while a slot of this page could not be written, and once one had to be kept in memory. */
  get persistent(): boolean {
    return this.#persistent && this.#failing.size === 0;
  }

  /** As `Slots.lease`; a slot in memory where the database or the locks fail, or all slots are taken. */
  async lease(): Promise<Lease> {
    try {
      for (let slot = 1; slot <= SLOTS_MAX; slot += 1) {
        const lease = await this.#take(slot);
        if (lease) return lease;
      }
    } catch {
      // Whatever storage or locks say no to, the page's memory can do.
    }
    this.#persistent = false;
    this.#parts.onPersistence();
    return this.#memory.lease();
  }

  /** As `Slots.adopt`. On the way empty slots that nobody has used for 30 days are deleted. */
  async adopt(): Promise<Lease | null> {
    try {
      for (const { slot, kept, old } of await this.#survey()) {
        const lease = kept ? await this.#take(slot) : null;
        if (lease && lease.state.events.length > 0) return lease;
        await lease?.store.release();
        if (old) await this.#forget(slot);
      }
    } catch {
      // Whatever storage or locks say no to, the page's memory can do.
    }
    return this.#memory.adopt();
  }

  /** Which slots there are, whether they hold anything, and whether nobody has used them for long. */
  #survey(): Promise<{ slot: number; kept: boolean; old: boolean }[]> {
    const { database, now } = this.#parts;
    return database.write(async ({ slots, chunks }) => {
      const keys = await answer(slots.getAllKeys(IDBKeyRange.bound(1, SLOTS_MAX)));
      const found = keys
        .filter((key) => typeof key === "number")
        .map(async (slot) => {
          const [record, count] = await Promise.all([
            answer<unknown>(slots.get(slot)),
            answer(chunks.count(chunkRange(slot))),
          ]);
          const old = !isSlotRecord(record) || now() - record.usedAt > UNUSED_MS;
          return { slot, kept: count > 0, old: old && count === 0 };
        });
      return Promise.all(found);
    });
  }

  async #take(slot: number): Promise<Lease | null> {
    const { database, grasp, id, prefix, now, newId, clock } = this.#parts;
    const hold = await grasp(slot);
    if (!hold) return null;
    try {
      // A slot that cannot be read may have used any number: it gets a name that nobody has used.
      const fresh = (broken: boolean) => ({ client: `${prefix}-${broken ? newId() : id}-${slot}`, epoch: now() });
      const loaded = await database.write((tables) => load(tables, slot, now(), fresh));
      const onPersistence = (persistent: boolean) => this.#told(hold, persistent);
      const store = new IndexedDbStore({ database, slot, loaded, hold, clock, now, onPersistence });
      return { state: loaded.state, store };
    } catch (error) {
      await hold.release().catch(() => {});
      throw error;
    }
  }

  async #forget(slot: number): Promise<void> {
    const hold = await this.#parts.grasp(slot);
    if (!hold) return;
    await this.#parts.database.write(async ({ slots, chunks }) => {
      if ((await answer(chunks.count(chunkRange(slot)))) === 0) slots.delete(slot);
    });
    await hold.release();
  }

  #told(hold: Hold, persistent: boolean): void {
    const before = this.persistent;
    if (persistent) this.#failing.delete(hold);
    else this.#failing.add(hold);
    if (before !== this.persistent) this.#parts.onPersistence();
  }
}
