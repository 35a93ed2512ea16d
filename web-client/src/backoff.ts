const CEILING_FIRST_MS = 500;
const CEILING_MAX_MS = 30_000;
/** Longest wait that a gateway may ask for; a longer one is cut to this. */
const RETRY_MAX_MS = 10 * 60_000;

/** Waits between connections: full jitter under a ceiling that doubles from 0.5 to 30 s. */
export class Backoff {
  readonly #random: () => number;
  #ceilingMs = CEILING_FIRST_MS;

  /** `random` gives numbers in 0 (included) to 1 (excluded). */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** How long to wait before the next connection, in ms. A wait that the gateway asked for is waited in full, with jitter on top. */
  next(retryMs: number | null): number {
    if (retryMs !== null) return Math.min(retryMs, RETRY_MAX_MS) + this.#random() * CEILING_FIRST_MS;
    const delayMs = this.#random() * this.#ceilingMs;
    this.#ceilingMs = Math.min(this.#ceilingMs * 2, CEILING_MAX_MS);
    return delayMs;
  }

  /** A connection has proved useful: the next wait is a short one again. */
  reset(): void {
    this.#ceilingMs = CEILING_FIRST_MS;
  }
}
