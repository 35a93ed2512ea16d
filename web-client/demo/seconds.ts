import { Latencies } from "./latencies.js";

/** What happened in one second. */
export interface Second {
  sent: number;
  acknowledged: number;
  arrived: number;
  /** From sending to acknowledgement. */
  readonly latencies: Latencies;
}

/** How far back the charts go. */
export const SECONDS = 60;
/** What rates and percentiles in figures are about. */
const RECENT = 10;

/** The newest seconds, the one under way last. */
export class Seconds {
  readonly #seconds: Second[] = [];
  #newest: number | null = null;

  /** The second that `now` (ms) falls into. */
  at(now: number): Second {
    const second = Math.floor(now / 1000);
    const missing = this.#newest === null ? 1 : Math.min(second - this.#newest, SECONDS);
    for (let count = 0; count < missing; count += 1) {
      this.#seconds.push({ sent: 0, acknowledged: 0, arrived: 0, latencies: new Latencies() });
    }
    this.#seconds.splice(0, Math.max(0, this.#seconds.length - SECONDS));
    this.#newest = Math.max(second, this.#newest ?? second);
    return this.#seconds[this.#seconds.length - 1] as Second;
  }

  /** Oldest first. */
  get all(): readonly Second[] {
    return this.#seconds;
  }

  /** Events in the last whole second. */
  rate(what: "sent" | "acknowledged" | "arrived"): number {
    return this.#seconds[this.#seconds.length - 2]?.[what] ?? 0;
  }

  /** Over the last ten seconds; `null` where nothing was acknowledged in them. */
  percentile(quantile: number): number | null {
    return Latencies.percentile(
      this.#seconds.slice(-RECENT).map((second) => second.latencies),
      quantile,
    );
  }
}
