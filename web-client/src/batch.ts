import type { Credit } from "./credit.js";
import type { StoredEvent } from "./outbox/store.js";
import { EVENTS_OVERHEAD_BYTES_MAX, structuredRecordLength } from "./wire/encode.js";

/** What one frame of events may hold. */
export interface BatchLimits {
  readonly events: number;
  /** Above this a frame takes no further event. */
  readonly bytes: number;
  /** The gateway's limit of a whole frame. */
  readonly frameBytes: number;
}

/** What to send next: events in a row, or nothing now, or one event that no frame can hold. */
export type Batch =
  | { readonly kind: "events"; readonly events: readonly StoredEvent[]; readonly payloadBytes: number }
  | { readonly kind: "oversized"; readonly event: StoredEvent }
  | { readonly kind: "none" };

/**
 * The longest run of consecutive numbers at the head of `waiting` that credit and limits allow. With `idle`, when nothing that
 * was sent is unsettled, one event may always go, whatever credit says.
 */
export function takeBatch(waiting: Iterable<StoredEvent>, idle: boolean, credit: Credit, limits: BatchLimits): Batch {
  const events: StoredEvent[] = [];
  let payloadBytes = 0;
  let frameBytes = EVENTS_OVERHEAD_BYTES_MAX;
  let next = -1;
  for (const event of waiting) {
    const first = next < 0;
    frameBytes += structuredRecordLength(event.payload);
    if (first && frameBytes > limits.frameBytes) return { kind: "oversized", event };
    if (!first && (event.seq !== next || frameBytes > Math.min(limits.frameBytes, limits.bytes))) break;
    if (!(first && idle) && !credit.covers(event.seq, payloadBytes + event.payload.length)) break;
    events.push(event);
    next = event.seq + 1;
    payloadBytes += event.payload.length;
    if (events.length >= limits.events) break;
  }
  return events.length === 0 ? { kind: "none" } : { kind: "events", events, payloadBytes };
}
