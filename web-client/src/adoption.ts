import type { Lane } from "./lane.js";
import type { Outbox } from "./outbox/outbox.js";
import type { Lease, Slots } from "./outbox/store.js";
import type { Platform } from "./platform.js";
import { ADOPT_MAX_MS, ADOPT_MS } from "./timing.js";

/** Sends what other tabs left behind, one slot after the other. */
export interface Adoption {
  /** Resolves when nothing of it is under way. */
  readonly done: Promise<void> | null;
  /** Looks for some, now and from then on every 30 s, as long as there is nothing better to do. */
  look(): void;
  /** As `look`, at the first moment at which there is nothing better to do. */
  lookOnce(): void;
  /** Begins nothing more. */
  stop(): void;
}

/** What an adoption works with. */
export interface AdoptionParts {
  readonly clock: Platform["clock"];
  /** Whether there is nothing better to do. */
  readonly isFree: () => boolean;
  readonly slots: () => Slots | null;
  /** A lane for a slot. */
  readonly hold: (lease: Lease) => Lane;
  /** Gives a slot back. */
  readonly release: (outbox: Outbox) => Promise<void>;
}

/** Looks for nothing before it is told to. */
export function newAdoption({ clock, isFree, slots, hold, release }: AdoptionParts): Adoption {
  let done: Promise<void> | null = null;
  let stopped = false;
  let looked = false;
  let delayMs = ADOPT_MS;
  let from = 0;
  let cancel = () => {};

  const adopt = async () => {
    while (isFree()) {
      // A slot that cannot be had now is there later too.
      const lease = await slots()
        ?.adopt()
        .catch(() => null);
      if (!lease) return;
      const lane = hold(lease);
      lane.close();
      await lane.ended;
      const sent = lane.outbox.length === 0;
      await release(lane.outbox);
      delayMs = sent ? ADOPT_MS : Math.min(delayMs * 2, ADOPT_MAX_MS);
      if (sent) continue;
      // One that does not get through must not take all the time there is.
      from = clock.now() + delayMs;
      return;
    }
  };

  const look = () => {
    cancel();
    if (stopped) return;
    cancel = clock.after(ADOPT_MS, look);
    if (done || !isFree() || clock.now() < from) return;
    done = adopt().finally(() => {
      done = null;
    });
  };

  return {
    get done() {
      return done;
    },
    look,
    lookOnce: () => {
      if (looked || !isFree()) return;
      looked = true;
      look();
    },
    stop: () => {
      stopped = true;
      cancel();
    },
  };
}
