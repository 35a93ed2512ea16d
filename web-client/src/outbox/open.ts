import { type Clock, systemClock } from "../clock.js";
import { answer, database } from "./database.js";
import { webLocks } from "./hold.js";
import { memorySlots } from "./memory.js";
import { indexedDbSlots } from "./slots.js";
import type { Slots } from "./store.js";

/** What `openSlots` needs to know. */
export interface OpenOptions {
  /** Of the database. */
  readonly name: string;
  /** First part of client names. */
  readonly prefix: string;
  /** `memory`: nothing outlives the page. */
  readonly kind: "auto" | "memory";
  /** Unix ms. */
  readonly now: () => number;
  /** 12 random letters and digits. */
  readonly newId: () => string;
  /** Called when `Slots.persistent` may have changed. */
  readonly onPersistence?: () => void;
}

/** The browser's parts; `null`: as in a browser without. */
export interface Surroundings {
  readonly indexedDB?: IDBFactory | null;
  readonly locks?: Pick<LockManager, "request"> | null;
  readonly clock?: Clock;
}

/** IndexedDB (one database per `name`), or memory where storage is denied, broken, or `kind` says so. Never rejects. */
export async function openSlots(options: OpenOptions, surroundings: Surroundings = {}): Promise<Slots> {
  const { name, kind, now, newId } = options;
  try {
    // Reading either may throw where storage is denied.
    const { indexedDB: factory = globalThis.indexedDB, locks = globalThis.navigator?.locks } = surroundings;
    if (factory && kind === "auto") {
      const { clock = systemClock } = surroundings;
      const write = database(factory, name, clock);
      const id = await write(async ({ meta }) => {
        const id: string = (await answer<string | undefined>(meta.get("id"))) ?? newId();
        meta.put(id, "id");
        return id;
      });
      const grasp = locks
        ? webLocks(locks, name)
        : (await import("./leases.js")).leases({ write, answer, clock, now, newId });
      return indexedDbSlots({ ...options, write, grasp, id, clock });
    }
  } catch {
    // Then memory it is.
  }
  return memorySlots(options);
}
