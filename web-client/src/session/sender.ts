import type { BatchSettings } from "../options.js";
import { EVENTS_OVERHEAD_BYTES_MAX, recordHeadBytes } from "../wire/encode.js";
import type { Ack, ClientFrame, EventRecord, Events, Welcome } from "../wire/frames.js";
import type { RunParts } from "./lane.js";

/** What frames may hold: as the application has it, until a gateway calls one too large. */
export type FrameLimits = { -readonly [K in keyof BatchSettings]: BatchSettings[K] } & {
  /** The payload that was too large all alone. */
  tooLarge?: string;
};

/** Sends what is in the outbox over one link. */
export interface Sender {
  /** There is something new: it waits a little for company, unless that makes a full frame or time is short. */
  stored(): void;
  /** Sends what may be sent, now. */
  pump(): void;
  /** Waits for nothing any more. */
  stop(): void;
  /** Something is settled, and there may be more credit: absolute limits, which never fall. */
  acknowledged(ack: Ack): void;
  /** Whether everything that may be sent has been handed to the link. */
  done(): boolean;
  /** The gateway calls a frame too large: they get smaller, and an event that went alone and first is not sent again. */
  shrink(): void;
}

/**
 * Begins behind `settled`, and sends in frames that collect for a moment, within credit. `send` hands a frame to the link, and
 * resolves when that has room again; while `held` answers true no frame is made.
 */
export function sender(
  { outbox, reporter, settings, platform: { clock } }: RunParts,
  limits: FrameLimits,
  welcome: Welcome,
  settled: number,
  send: (frame: ClientFrame) => Promise<unknown>,
  held: () => unknown,
): Sender {
  let { limit, limit_bytes: limitBytes } = welcome;
  let spentBytes = 0;
  /** Next number to send on this link. */
  let cursor = settled + 1;
  let pumping = false;
  /** In the outbox when there was nothing more to send. */
  let seenBytes = 0;
  /** Events in the last frame, and the payload of one that was alone on its way. */
  let count = 0;
  let lone: string | undefined;
  let cancelDelay: (() => void) | null = null;

  /** The longest run of consecutive numbers that credit and limits allow. */
  const next = (): Events | null => {
    if (held()) return null;
    const { max_batch_events, max_frame_bytes } = welcome;
    const records: EventRecord[] = [];
    let first = 0;
    let frameBytes = EVENTS_OVERHEAD_BYTES_MAX;
    // With nothing on its way one event may always go, whatever credit says.
    const idle = cursor <= outbox.upto + 1;
    for (const event of outbox.from(cursor)) {
      const { seq, payload, bytes } = event;
      frameBytes += recordHeadBytes(bytes) + bytes;
      if (!first) {
        first = seq;
        if (frameBytes > max_frame_bytes || payload === limits.tooLarge) {
          const message = `${bytes} bytes fit no frame of the gateway`;
          outbox.judge({ seq, code: "too_large", refused: true, message });
          reporter?.count("too_large");
          // A frame without records gives up everything below its number.
          first += 1;
          break;
        }
      } else {
        const full = records.length >= Math.min(limits.maxEvents, max_batch_events);
        const long = frameBytes > Math.min(limits.maxBytes, max_frame_bytes);
        if (full || long || seq !== first + records.length) break;
      }
      const covered = limits.maxEvents > 0 && seq <= limit && spentBytes + bytes <= limitBytes;
      if (!covered && (!idle || records.length > 0)) {
        if (records.length === 0) return null;
        break;
      }
      records.push(event);
      spentBytes += bytes;
    }
    if (!first) return null;
    count = records.length;
    lone = idle && count === 1 ? records[0]?.payload : undefined;
    cursor = first + count;
    outbox.sentUpto = Math.max(outbox.sentUpto, cursor - 1);
    return { first_seq: first, records };
  };

  const pump = async () => {
    stop();
    if (pumping) return;
    pumping = true;
    for (let body = next(); body; body = next()) await send({ type: "events", body });
    pumping = false;
    seenBytes = outbox.bytes;
  };

  const stop = () => {
    cancelDelay?.();
    cancelDelay = null;
  };

  return {
    stored: () => {
      if (pumping) return;
      const full = outbox.last - cursor + 1 >= limits.maxEvents || outbox.bytes - seenBytes >= limits.maxBytes;
      if (full || outbox.hurried || limits.delayMs === 0) void pump();
      else cancelDelay ??= clock.after(limits.delayMs, pump);
    },
    pump: () => void pump(),
    stop,
    acknowledged: (ack) => {
      // A number that another connection had sent may be settled here before it is sent again.
      cursor = Math.max(cursor, ack.upto + 1);
      limit = Math.max(limit, ack.limit);
      limitBytes = Math.max(limitBytes, ack.limit_bytes);
      void pump();
    },
    done: () => {
      for (const _ of outbox.from(cursor)) return false;
      return !pumping;
    },
    shrink: () => {
      if (lone) {
        limits.tooLarge = lone;
        limits.maxEvents = settings.batch.maxEvents;
      } else if (count > 0) limits.maxEvents = count >> 1;
    },
  };
}
