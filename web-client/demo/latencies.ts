/** The newest measurements, for their median. */
export class Latencies {
  readonly #capacity: number;
  readonly #newest: number[] = [];
  #next = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  add(ms: number): void {
    this.#newest[this.#next] = ms;
    this.#next = (this.#next + 1) % this.#capacity;
  }

  /** Median of the newest measurements; `null` before the first. */
  median(): number | null {
    const sorted = [...this.#newest].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    const upper = sorted[middle];
    const lower = sorted[sorted.length % 2 === 1 ? middle : middle - 1];
    return upper === undefined || lower === undefined ? null : (lower + upper) / 2;
  }
}
