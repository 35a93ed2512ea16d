import type { Clock } from "../clock.js";
import { answer, type Tables, type Write } from "./database.js";

/** A slot that no other tab has as long as we hold it. */
export interface Hold {
  /** Whether it is still ours; asked in the transaction that is about to write. */
  check(tables: Tables): Promise<boolean>;
  /** Lets others have it. */
  release(): Promise<void>;
  /** Set by who holds it; called once when another tab has taken it. */
  onLost: () => void;
}

/** Takes hold of a slot, or answers `null` when another tab has it. */
export type Grasp = (slot: number) => Promise<Hold | null>;

const RENEW_MS = 1_000;
const STALE_MS = 5_000;

/** Holds by Web Locks, which the browser frees when the tab ends however it ends. */
export function webLocks(locks: Pick<LockManager, "request">, name: string): Grasp {
  return (slot) =>
    new Promise((resolve, reject) => {
      const held = (lock: Lock | null) =>
        new Promise<void>((free) => {
          resolve(lock && { check: async () => true, release: async () => free(), onLost: () => {} });
        });
      locks.request(`tidegate:${name}:${slot}`, { ifAvailable: true }, held).catch(reject);
    });
}

/** Holds by records in the database, renewed every second; one that was not renewed for 5 s can be taken over. */
export function leases(write: Write, clock: Clock, now: () => number, newId: () => string): Grasp {
  return async (slot) => {
    const owner = newId();
    const renew = ({ leases }: Tables) => answer(leases.put({ owner, at: now() }, slot));
    const taken = await write(async (tables) => {
      // A clock that was set back must not keep a slot locked.
      const free = !(Math.abs(now() - (await leaseOf(tables, slot)).at) < STALE_MS);
      if (free) await renew(tables);
      return free;
    });
    if (!taken) return null;

    const check = async (tables: Tables) => {
      const ours = (await leaseOf(tables, slot)).owner === owner;
      if (ours) await renew(tables);
      return ours;
    };
    let released = false;
    let cancel: () => void;
    const renewLater = () => {
      cancel = clock.after(RENEW_MS, async () => {
        const ours = await write(check).catch(() => true);
        if (released) return;
        if (ours) renewLater();
        else hold.onLost();
      });
    };
    const hold: Hold = {
      check,
      release: async () => {
        released = true;
        cancel();
        await write(async (tables) => {
          if (await check(tables)) tables.leases.delete(slot);
        });
      },
      onLost: () => {},
    };
    renewLater();
    return hold;
  };
}

async function leaseOf({ leases }: Tables, slot: number): Promise<{ readonly owner?: unknown; readonly at: number }> {
  return Object(await answer<unknown>(leases.get(slot)));
}
