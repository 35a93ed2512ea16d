import type { Report } from "./wire/frames.js";

/** What the client tells the gateway about its own experience: changes since the last time, each told once. */
export interface Reporter {
  /** Events were given up, or the carrier is another one than before. */
  count(what: keyof Report["dropped"] | "switches", count?: number): void;
  /** An event was acknowledged this long after it was handed over. */
  acknowledged(latencyMs: number): void;
  /** Gives what is new to `send`, if there is anything; where that answers false it counts as not told. */
  tell(send: (report: Report) => Promise<boolean>): Promise<void>;
}

/** Longer latencies count as this: to the gateway all that take hours are the same. */
const LATENCY_MAX_MS = 2 ** 31;

/** Has nothing to tell yet. */
export function newReporter(): Reporter {
  /** By what is counted; of latencies by the upper bound of their bucket. Objects keep such numbers in order. */
  let counts: Record<string, number> = {};
  const count = (what: string | number, more = 1) => {
    counts[what] = (counts[what] ?? 0) + more;
  };
  return {
    count,
    // Two buckets to each doubling.
    acknowledged: (latencyMs) => {
      const ms = Math.min(Math.max(latencyMs, 2), LATENCY_MAX_MS);
      count(Math.ceil(2 ** (Math.ceil(2 * Math.log2(ms)) / 2)));
    },
    tell: async (send) => {
      const told = Object.entries(counts);
      if (told.length === 0) return;
      const { overflow = 0, expired = 0, too_large = 0, switches = 0, ...buckets } = counts;
      counts = {};
      const ack_ms = Object.entries(buckets).map(([ms, n]) => [Number(ms), n] as const);
      const report = { dropped: { overflow, expired, too_large }, switches, ack_ms };
      if (!(await send(report))) for (const [what, more] of told) count(what, more);
    },
  };
}
