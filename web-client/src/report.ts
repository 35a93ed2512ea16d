import type { Report } from "./wire/frames.js";

/** Upper bounds of the latency buckets in ms; a last bucket holds the rest. */
const BOUNDS_MS = [
  1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1e3, 1.5e3, 2e3, 3e3, 5e3, 1e4, 3e4, 6e4, 3e5,
];

/** What the client tells the gateway about its own experience: changes since the last time, each told once. */
export class Reporter {
  #dropped = { overflow: 0, expired: 0, too_large: 0 };
  #switches = 0;
  #counts: number[] = [];
  #news = false;

  /** Events were acknowledged this long after they were handed over. */
  acknowledged(latencyMs: number, count: number): void {
    const found = BOUNDS_MS.findIndex((bound) => latencyMs <= bound);
    const bucket = found < 0 ? BOUNDS_MS.length : found;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count;
    this.#news = true;
  }

  /** Events were given up. */
  dropped(reason: keyof Report["dropped"], count: number): void {
    this.#dropped[reason] += count;
    this.#news = true;
  }

  /** The carrier is another one than before. */
  switched(): void {
    this.#switches += 1;
    this.#news = true;
  }

  /** What has not been told yet, and counts as told from here on; `null` where there is nothing. */
  take(): Report | null {
    if (!this.#news) return null;
    const ack_ms: [number | null, number][] = [];
    this.#counts.forEach((count, bucket) => {
      ack_ms.push([BOUNDS_MS[bucket] ?? null, count]);
    });
    const report = { dropped: this.#dropped, switches: this.#switches, ack_ms };
    this.#dropped = { overflow: 0, expired: 0, too_large: 0 };
    this.#switches = 0;
    this.#counts = [];
    this.#news = false;
    return report;
  }

  /** A report that could not be sent: it counts as not told. */
  putBack({ dropped, switches, ack_ms }: Report): void {
    for (const reason of ["overflow", "expired", "too_large"] as const) this.#dropped[reason] += dropped[reason];
    this.#switches += switches;
    for (const [bound, count] of ack_ms) this.acknowledged(bound ?? Number.POSITIVE_INFINITY, count);
    this.#news = true;
  }
}
