import type { Clock } from "./clock.js";
import type { Page } from "./lifecycle.js";
import type { Settings } from "./options.js";
import type { Slots } from "./outbox/store.js";
import type { StartSession } from "./session/session.js";

/** What a client stands on; tests bring their own. */
export interface Platform {
  readonly clock: Clock;
  /** Unix ms. */
  readonly now: () => number;
  /** Numbers in 0 (included) to 1 (excluded). */
  readonly random: () => number;
  readonly page: Page;
  /** `onPersistence` is called when `Slots.persistent` has changed. */
  readonly slots: (settings: Settings, onPersistence: () => void) => Promise<Slots>;
  /** Loads the part that talks to gateways. May reject; can be asked again then. */
  readonly session: () => Promise<StartSession>;
}
