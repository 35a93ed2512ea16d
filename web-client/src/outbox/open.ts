import { type Clock, systemClock } from "../clock.js";
import { answer, Database } from "./database.js";
import { leases, webLocks } from "./hold.js";
import { memorySlots } from "./memory.js";
import { IndexedDbSlots } from "./slots.js";
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
  /** Called when `Slots.persistent` has changed. */
  readonly onPersistence?: () => void;
}

/** The browser's parts; `null`: as in a browser without. */
export interface Surroundings {
  readonly indexedDB?: IDBFactory | null;
  readonly locks?: Pick<LockManager, "request"> | null;
  readonly clock?: Clock;
}

const ID = /^[A-Za-z0-9]{1,64}$/;

/** IndexedDB (one database per `name`), or memory where storage is denied, broken, or `kind` says so. Never rejects. */
export async function openSlots(options: OpenOptions, surroundings: Surroundings = {}): Promise<Slots> {
  if (options.kind === "memory") return memorySlots(options);
  const { name, prefix, now, newId, onPersistence = () => {} } = options;
  const { clock = systemClock } = surroundings;
  try {
    // Reading either may throw where storage is denied.
    const { indexedDB: factory = globalThis.indexedDB, locks = globalThis.navigator?.locks } = surroundings;
    if (!factory) return memorySlots(options);
    const database = new Database(factory, name, clock);
    const id = await database.write(async ({ meta }) => {
      const kept: unknown = await answer(meta.get("id"));
      if (typeof kept === "string" && ID.test(kept)) return kept;
      const id = newId();
      meta.put(id, "id");
      return id;
    });
    const grasp = locks ? webLocks(locks, name) : leases({ database, clock, now, newId });
    return new IndexedDbSlots({ database, grasp, id, prefix, now, newId, clock, onPersistence });
  } catch {
    return memorySlots(options);
  }
}
