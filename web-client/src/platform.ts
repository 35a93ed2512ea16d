import type { Clock } from "./clock.js";
import type { Page } from "./lifecycle.js";
import type { Farewell } from "./link/farewell.js";
import type { Dial, TransportName } from "./link/link.js";
import type { Preference } from "./link/preference.js";
import type { Settings } from "./options.js";
import type { Slots } from "./outbox/store.js";

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
  readonly dial: (endpoint: URL, only?: readonly TransportName[]) => Dial;
  readonly preference: Preference;
  /** Loads what posts a page's last events. May reject; can be asked again then. */
  readonly farewell: () => Promise<Farewell>;
}
