const CEILING_FIRST_MS = 500;
const CEILING_MAX_MS = 30_000;
/** Longest wait that a gateway may ask for; a longer one is cut to this. */
const RETRY_MAX_MS = 10 * 60_000;

/** Waits between attempts: full jitter under a ceiling that doubles from 0.5 to 30 s. */
export class Backoff {
  readonly #random: () => number;
  #ceilingMs = CEILING_FIRST_MS;

  /** `random` gives numbers in 0 (included) to 1 (excluded). */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** How long to wait before the next attempt, in ms. A wait that the gateway asked for is waited in full, with jitter on top. */
  next(retryMs: number | null = null): number {
    const delayMs = Math.min(Math.max(retryMs ?? 0, 0), RETRY_MAX_MS) + this.#random() * this.#ceilingMs;
    this.#ceilingMs = Math.min(this.#ceilingMs * 2, CEILING_MAX_MS);
    return delayMs;
  }

  /** An attempt has proved useful: the next wait is a short one again. */
  reset(): void {
    this.#ceilingMs = CEILING_FIRST_MS;
  }
}
