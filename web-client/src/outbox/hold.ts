import type { Clock } from "../clock.js";
import { answer, type Database, type Tables } from "./database.js";

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
      const held = (lock: Lock | null) => {
        if (!lock) return resolve(null);
        return new Promise<void>((free) => {
          resolve({ check: async () => true, release: async () => free(), onLost: () => {} });
        });
      };
      locks.request(`tidegate:${name}:${slot}`, { ifAvailable: true }, held).catch(reject);
    });
}

/** Holds by records in the database, renewed every second; one that was not renewed for 5 s can be taken over. */
export function leases(parts: {
  readonly database: Database;
  readonly clock: Clock;
  readonly now: () => number;
  readonly newId: () => string;
}): Grasp {
  const { database, clock, now, newId } = parts;
  return async (slot) => {
    const owner = newId();
    const taken = await database.write(async ({ leases }) => {
      if (isFresh(await answer(leases.get(slot)), now())) return false;
      await answer(leases.put({ owner, at: now() }, slot));
      return true;
    });
    if (!taken) return null;

    let ended = false;
    const check = async ({ leases }: Tables): Promise<boolean> => {
      if (ownerOf(await answer(leases.get(slot))) !== owner) return false;
      leases.put({ owner, at: now() }, slot);
      return true;
    };
    const renew = async () => {
      const ours = await database.write(check).catch(() => true);
      if (ended) return;
      if (ours) cancel = clock.after(RENEW_MS, renew);
      else hold.onLost();
    };
    const hold: Hold = {
      check,
      release: async () => {
        ended = true;
        cancel();
        await database.write(async (tables) => {
          if (await check(tables)) tables.leases.delete(slot);
        });
      },
      onLost: () => {},
    };
    let cancel = clock.after(RENEW_MS, renew);
    return hold;
  };
}

function isFresh(record: unknown, now: number): boolean {
  const { at } = Object(record) as { at?: unknown };
  // A clock that was set back must not keep a slot locked.
  return typeof at === "number" && Math.abs(now - at) < STALE_MS;
}

function ownerOf(record: unknown): unknown {
  return (Object(record) as { owner?: unknown }).owner;
}
