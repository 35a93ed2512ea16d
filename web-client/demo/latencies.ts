/** A second of measurements keeps so many at random, which is enough for its percentiles. */
const SAMPLES_MAX = 5_000;

/** Measurements of one stretch of time, for their percentiles. */
export class Latencies {
  readonly #samples: number[] = [];
  readonly #random: () => number;
  #count = 0;

  /** `random`: numbers in 0 (included) to 1 (excluded). */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** How many were added. */
  get count(): number {
    return this.#count;
  }

  add(ms: number): void {
    this.#count += 1;
    if (this.#samples.length < SAMPLES_MAX) {
      this.#samples.push(ms);
      return;
    }
    const at = Math.floor(this.#random() * this.#count);
    if (at < SAMPLES_MAX) this.#samples[at] = ms;
  }

  /** The measurement that a share `quantile` of all of `several` do not exceed; `null` where there is none. */
  static percentile(several: readonly Latencies[], quantile: number): number | null {
    const sorted = several.flatMap((latencies) => latencies.#samples).sort((a, b) => a - b);
    return sorted[Math.max(0, Math.ceil(sorted.length * quantile) - 1)] ?? null;
  }
}
