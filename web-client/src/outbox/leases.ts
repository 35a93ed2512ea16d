import type { Clock } from "../clock.js";
import type { answer, Tables, Write } from "./database.js";
import type { Grasp, Hold } from "./hold.js";

// This is loaded where it is needed: in browsers without Web Locks. What it shares with the rest of the client is given to it.

/** What leases work with. */
export interface LeasesParts {
  readonly write: Write;
  readonly answer: typeof answer;
  readonly clock: Clock;
  readonly now: () => number;
  readonly newId: () => string;
}

interface Lease {
  readonly owner?: unknown;
  readonly at: number;
}

const RENEW_MS = 1_000;
const STALE_MS = 5_000;

/** Holds by records in the database, renewed every second; one that was not renewed for 5 s can be taken over. */
export function leases({ write, answer, clock, now, newId }: LeasesParts): Grasp {
  const leaseOf = async ({ leases }: Tables, slot: number): Promise<Lease> =>
    Object(await answer<unknown>(leases.get(slot)));

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
        else hold.onLost?.();
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
    };
    renewLater();
    return hold;
  };
}
