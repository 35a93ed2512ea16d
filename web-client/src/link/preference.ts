import type { Route, TransportName } from "./link.js";

const WINNER_MS = 24 * 60 * 60_000;
const AVOID_FIRST_MS = 60_000;
const AVOID_MAX_MS = 30 * 60_000;

/** What of a browser's storage is needed. */
type Storage = Pick<globalThis.Storage, "getItem" | "setItem">;

/** Which transports did well and which stalled, per gateway; the winner is remembered for a day (localStorage where there is one). */
export class Preference {
  readonly #key: string;
  readonly #now: () => number;
  readonly #storage: Storage | null;
  /** For how long a transport is avoided, and until when (Unix ms). */
  readonly #stalls = new Map<TransportName, { readonly ms: number; readonly until: number }>();
  #winner: { readonly transport?: unknown; readonly at?: unknown } = {};

  /** `now` is Unix ms. Without `storage`, and where it fails, the winner is remembered as long as this object. */
  constructor(origin: string, { now, storage }: { now: () => number; storage: Storage | null }) {
    this.#key = `tidegate:${origin}`;
    this.#now = now;
    this.#storage = storage;
    try {
      this.#winner = Object(JSON.parse(storage?.getItem(this.#key) ?? ""));
    } catch {
      // Denied, or nobody has won yet.
    }
  }

  /** The same routes, remembered winner first, those that stalled lately last. */
  order(routes: readonly Route[]): readonly Route[] {
    const age = this.#now() - Number(this.#winner.at);
    const winner = age >= 0 && age < WINNER_MS && this.#winner.transport;
    const rank = ({ transport }: Route) => (this.#avoidedMs(transport) > 0 ? 2 : Number(transport !== winner));
    return [...routes].sort((a, b) => rank(a) - rank(b));
  }

  won(transport: TransportName): void {
    this.#winner = { transport, at: this.#now() };
    try {
      this.#storage?.setItem(this.#key, JSON.stringify(this.#winner));
    } catch {
      // Denied or full: then it is remembered here alone.
    }
  }

  /** Avoided for 60 s, then twice as long each time it stalls again, up to 30 min. */
  stalled(transport: TransportName): void {
    const before = this.#stalls.get(transport);
    const now = this.#now();
    // Long after the last time it is a first time again.
    const again = before && now < before.until + AVOID_MAX_MS;
    const ms = again ? Math.min(2 * before.ms, AVOID_MAX_MS) : AVOID_FIRST_MS;
    this.#stalls.set(transport, { ms, until: now + ms });
  }

  /**
   * How long until a transport better than `current` (in the gateway's order) is worth another try, in ms; null: none is better. Never
   * 0: one that did not stall lately, and was passed over all the same, is worth another try in 60 s.
   */
  betterAfter(current: TransportName, routes: readonly Route[]): number | null {
    const index = routes.findIndex(({ transport }) => transport === current);
    const better = routes.slice(0, Math.max(index, 0));
    if (better.length === 0) return null;
    return Math.min(...better.map(({ transport }) => this.#avoidedMs(transport) || AVOID_FIRST_MS));
  }

  #avoidedMs(transport: TransportName): number {
    const left = (this.#stalls.get(transport)?.until ?? 0) - this.#now();
    // A clock that was set back must not avoid for longer.
    return Math.min(Math.max(left, 0), AVOID_MAX_MS);
  }
}
