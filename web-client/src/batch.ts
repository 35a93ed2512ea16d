import type { Credit } from "./credit.js";
import type { QueuedEvent } from "./queue.js";
import { EVENTS_OVERHEAD_BYTES_MAX, structuredRecordLength } from "./wire/encode.js";

/** What one frame of events may hold. */
export interface BatchLimits {
  readonly events: number;
  /** The gateway's limit of a whole frame. */
  readonly frameBytes: number;
}

/** What to send next: events in a row, or nothing now, or one event that no frame can hold. */
export type Batch =
  | { readonly kind: "events"; readonly events: readonly QueuedEvent[]; readonly payloadBytes: number }
  | { readonly kind: "oversized"; readonly event: QueuedEvent }
  | { readonly kind: "none" };

/** Small frames let acknowledgements overtake the next frame; larger ones save next to nothing. */
const FRAME_BYTES_PREFERRED = 64 * 1024;

/**
 * The longest run of `waiting` that credit and limits allow. With everything before it settled (`upto`), one event may always
 * go, whatever credit says.
 */
export function takeBatch(waiting: Iterable<QueuedEvent>, upto: number, credit: Credit, limits: BatchLimits): Batch {
  const events: QueuedEvent[] = [];
  let payloadBytes = 0;
  let frameBytes = EVENTS_OVERHEAD_BYTES_MAX;
  for (const event of waiting) {
    const first = events.length === 0;
    frameBytes += structuredRecordLength(event.payload);
    if (first && frameBytes > limits.frameBytes) return { kind: "oversized", event };
    if (!first && frameBytes > Math.min(limits.frameBytes, FRAME_BYTES_PREFERRED)) break;
    const free = first && event.seq === upto + 1;
    if (!free && !credit.covers(event.seq, payloadBytes + event.payload.length)) break;
    events.push(event);
    payloadBytes += event.payload.length;
    if (events.length >= limits.events) break;
  }
  return events.length === 0 ? { kind: "none" } : { kind: "events", events, payloadBytes };
}
