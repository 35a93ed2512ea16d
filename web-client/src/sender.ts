import { type Batch, takeBatch } from "./batch.js";
import type { Clock } from "./clock.js";
import { Credit } from "./credit.js";
import type { BatchSettings } from "./options.js";
import type { Outbox } from "./outbox/outbox.js";
import type { ClientFrame, Welcome } from "./wire/frames.js";

/** What a sender works with. */
export interface SenderParts {
  readonly outbox: Outbox;
  readonly batch: BatchSettings;
  /** The highest number that may have reached the gateway, over all connections of a numbering. */
  readonly reached: { seq: number };
  readonly clock: Clock;
  /** Hands a frame to the link and resolves when that has room again. Never rejects. */
  readonly send: (frame: ClientFrame) => Promise<void>;
  /** Whether nothing new may be sent just now. */
  readonly held: () => boolean;
  /** An event fits no frame; it counts as refused. */
  readonly oversized: () => void;
}

/** Sends what is in the outbox over one link, in frames that collect for a moment, within credit. */
export class Sender {
  readonly #parts: SenderParts;
  readonly #welcome: Welcome;
  readonly #credit: Credit;
  /** Next number to send on this link. */
  #cursor: number;
  #pumping = false;
  /** Nothing more could go the last time; with more credit something may. */
  #dry = false;
  #lastBatch = 0;
  #cancelDelay: (() => void) | null = null;

  /** Begins behind `settled`. */
  constructor(welcome: Welcome, settled: number, parts: SenderParts) {
    this.#parts = parts;
    this.#welcome = welcome;
    this.#credit = new Credit(welcome.limit, welcome.limit_bytes);
    this.#cursor = settled + 1;
  }

  /** Events in the last frame. */
  get lastBatch(): number {
    return this.#lastBatch;
  }

  /** Whether everything that may be sent has been handed to the link. */
  get done(): boolean {
    if (this.#pumping) return false;
    for (const _ of this.#parts.outbox.from(this.#cursor)) return false;
    return true;
  }

  /** There is something new: it waits a little for company, unless that makes a full frame (`collected` bytes). */
  stored(collected: number): void {
    const { outbox, batch, clock } = this.#parts;
    if (this.#pumping) return;
    const full = outbox.last - this.#cursor + 1 >= batch.maxEvents || collected >= batch.maxBytes;
    if (full || batch.delayMs === 0) this.pump();
    else this.#cancelDelay ??= clock.after(batch.delayMs, () => this.pump());
  }

  /** Everything up to `upto` is settled, and there may be more credit. */
  acknowledged(upto: number, limit: number, limitBytes: number): void {
    // A number that another connection had sent may be settled here before it is sent again.
    this.#cursor = Math.max(this.#cursor, upto + 1);
    this.#credit.extend(limit, limitBytes);
    if (this.#dry) this.pump();
  }

  /** Sends what may be sent, now. */
  pump(): void {
    this.stop();
    if (!this.#pumping) void this.#pump();
  }

  /** Waits for nothing any more. */
  stop(): void {
    this.#cancelDelay?.();
    this.#cancelDelay = null;
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    for (let frame = this.#next(); frame; frame = this.#next()) await this.#parts.send(frame);
    this.#pumping = false;
  }

  #next(): ClientFrame | null {
    const { outbox, batch, reached, held, oversized } = this.#parts;
    if (held()) return null;
    const { max_batch_events, max_frame_bytes: frameBytes } = this.#welcome;
    const events = Math.max(1, Math.min(batch.maxEvents, max_batch_events));
    const idle = this.#cursor <= outbox.upto + 1;
    const limits = { events, bytes: batch.maxBytes, frameBytes };
    const taken = takeBatch(outbox.from(this.#cursor), idle, this.#credit, limits);
    this.#dry = taken.kind === "none";
    if (taken.kind === "none") return null;
    if (taken.kind === "events") {
      this.#lastBatch = taken.events.length;
      this.#credit.spend(taken.payloadBytes);
    } else {
      const { seq, payload } = taken.event;
      const message = `${payload.length} bytes fit no frame of ${frameBytes}`;
      outbox.judge({ seq, code: "too_large", refused: true, message });
      oversized();
    }
    const { first, records } = contents(taken);
    const last = first + records.length - 1;
    this.#cursor = last + 1;
    outbox.sentUpto = last;
    reached.seq = Math.max(reached.seq, last);
    return { type: "events", body: { first_seq: first, records } };
  }
}

/** What goes into the frame of a batch; one without records gives up everything below its number. */
function contents(batch: Exclude<Batch, { kind: "none" }>) {
  if (batch.kind === "oversized") return { first: batch.event.seq + 1, records: [] };
  return { first: batch.events[0]?.seq ?? 0, records: batch.events.map(({ payload }) => ({ alias: 0, payload })) };
}
