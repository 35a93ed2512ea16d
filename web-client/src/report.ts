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
  /** By what is counted; of latencies by the upper bound of the bucket. */
  let counts = new Map<string | number, number>();
  const count = (what: string | number, more = 1) => void counts.set(what, (counts.get(what) ?? 0) + more);
  return {
    count,
    acknowledged: (latencyMs) => count(bucketOf(latencyMs)),
    tell: async (send) => {
      if (counts.size === 0) return;
      const told = counts;
      counts = new Map();
      const of = (what: string) => told.get(what) ?? 0;
      const buckets = [...told].filter((entry): entry is [number, number] => typeof entry[0] === "number");
      const report = {
        dropped: { overflow: of("overflow"), expired: of("expired"), too_large: of("too_large") },
        switches: of("switches"),
        ack_ms: buckets.sort(([a], [b]) => a - b),
      };
      if (!(await send(report))) for (const [what, more] of told) count(what, more);
    },
  };
}

/** Upper bound of a bucket: two to each doubling, 63 in all. */
function bucketOf(ms: number): number {
  return Math.ceil(2 ** (Math.ceil(2 * Math.log2(Math.min(Math.max(ms, 1), LATENCY_MAX_MS))) / 2));
}
