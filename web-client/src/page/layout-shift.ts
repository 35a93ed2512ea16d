/** As browsers that have it report it. */
export interface LayoutShiftEntry {
  readonly startTime: number;
  readonly value: number;
  readonly hadRecentInput: boolean;
}

const GAP_MS = 1_000;
const WINDOW_MS = 5_000;

/** Cumulative layout shift: the largest session window, a burst of shifts less than 1 s apart that spans at most 5 s. */
export class LayoutShifts {
  /** The largest window so far. */
  value = 0;
  #window = 0;
  #first = 0;
  #last = Number.NEGATIVE_INFINITY;

  /** Shifts right after an input are expected, and do not count. */
  add({ startTime, value, hadRecentInput }: LayoutShiftEntry): void {
    if (hadRecentInput) return;
    if (startTime - this.#last >= GAP_MS || startTime - this.#first >= WINDOW_MS) {
      this.#window = 0;
      this.#first = startTime;
    }
    this.#last = startTime;
    this.#window += value;
    this.value = Math.max(this.value, this.#window);
  }
}
