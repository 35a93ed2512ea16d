import type { Tables } from "./database.js";

/** A slot that no other tab has as long as we hold it. */
export interface Hold {
  /** Whether it is still ours; asked in the transaction that is about to write. Not there: it is. */
  check?(tables: Tables): Promise<boolean>;
  /** Lets others have it. */
  release(): Promise<void>;
  /** Set by who holds it; called once when another tab has taken it. */
  onLost?: () => void;
}

/** Takes hold of a slot, or answers `null` when another tab has it. */
export type Grasp = (slot: number) => Promise<Hold | null>;

/** Holds by Web Locks, which the browser frees when the tab ends however it ends. */
export function webLocks(locks: Pick<LockManager, "request">, name: string): Grasp {
  return (slot) =>
    new Promise((resolve, reject) => {
      const held = (lock: Lock | null) =>
        new Promise<void>((free) => {
          resolve(lock && { release: async () => free() });
          if (!lock) free();
        });
      locks.request(`tidegate:${name}:${slot}`, { ifAvailable: true }, held).catch(reject);
    });
}
