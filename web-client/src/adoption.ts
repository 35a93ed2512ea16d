import type { Clock } from "./clock.js";
import type { Lease, Slots } from "./outbox/store.js";

const EVERY_MS = 30_000;
const EVERY_MAX_MS = 30 * 60_000;

/** What adoption works with. */
export interface AdoptionParts {
  readonly slots: Slots;
  readonly clock: Clock;
  /** Whether there is nothing better to do. */
  readonly free: () => boolean;
  /** Sends what the slot holds and lets go of it; whether it ended up empty. Must not reject. */
  readonly send: (lease: Lease) => Promise<boolean>;
}

/** Looks after events that other tabs left behind: one slot at a time. */
export class Adoption {
  readonly #parts: AdoptionParts;
  #everyMs = EVERY_MS;
  #notBefore = 0;
  #busy: Promise<void> | null = null;
  #stopped = false;
  #cancel = () => {};

  constructor(parts: AdoptionParts) {
    this.#parts = parts;
    this.#plan();
  }

  /** Looks now, if that may be. */
  look(): void {
    const { clock, free } = this.#parts;
    if (this.#busy || this.#stopped || !free() || clock.now() < this.#notBefore) return;
    this.#busy = this.#send().finally(() => {
      this.#busy = null;
    });
  }

  /** Adopts no more; resolves when nothing is adopted. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#busy;
  }

  async #send(): Promise<void> {
    const { slots, clock, free, send } = this.#parts;
    for (;;) {
      // A slot that cannot be had now is there later too.
      const lease = await slots.adopt().catch(() => null);
      if (!lease) return;
      if (this.#stopped || lease.state.events.length === 0) return lease.store.release().catch(() => {});
      const sent = await send(lease);
      // One that does not get through must not take all the time there is.
      this.#everyMs = sent ? EVERY_MS : Math.min(this.#everyMs * 2, EVERY_MAX_MS);
      if (!sent) this.#notBefore = clock.now() + this.#everyMs;
      if (!sent || this.#stopped || !free()) return;
    }
  }

  #plan(): void {
    if (this.#stopped) return;
    this.#cancel = this.#parts.clock.after(EVERY_MS, () => {
      this.look();
      this.#plan();
    });
  }
}
