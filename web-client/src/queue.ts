import { QueueFullError } from "./errors/queue-full-error.js";
import type { Bytes } from "./wire/bytes.js";
import type { Level } from "./wire/codes.js";
import type { Verdict } from "./wire/frames.js";

/** What became of an event. It is never sent again. */
export type Settlement =
  /** Durable as `level` says, or left out by a filter of the gateway. */
  | { readonly seq: number; readonly outcome: "acknowledged"; readonly level: Level }
  /** Refused for good: the same bytes would be refused again. */
  | { readonly seq: number; readonly outcome: "refused"; readonly code: string; readonly message: string }
  /** Nobody can say: the session ended first, or the gateway has settled it and no longer knows how. */
  | { readonly seq: number; readonly outcome: "unknown" };

/** A numbered event that is kept until it is settled. */
export interface QueuedEvent {
  readonly seq: number;
  /** The structured CloudEvent, UTF-8 JSON. */
  readonly payload: Bytes;
}

interface Entry extends QueuedEvent {
  readonly settled: (settlement: Settlement) => void;
  refusal: Verdict | null;
}

/** How much may wait for acknowledgement. */
export interface QueueLimits {
  readonly events: number;
  /** Payload bytes. */
  readonly bytes: number;
}

/** Numbers events from 1 and keeps them until they are settled. */
export class EventQueue {
  readonly #limits: QueueLimits;
  readonly #entries = new Map<number, Entry>();
  #bytes = 0;
  #last = 0;
  #upto = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  /** Highest number given out; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  /** Everything up to here is settled. */
  get upto(): number {
    return this.#upto;
  }

  /** Events waiting, sent or not. */
  get length(): number {
    return this.#entries.size;
  }

  /** Takes an event and returns its number. Throws `QueueFullError` and takes nothing when a limit is reached. */
  push(payload: Bytes, settled: (settlement: Settlement) => void): number {
    if (this.#entries.size >= this.#limits.events) {
      throw new QueueFullError(`${this.#limits.events} events wait for acknowledgement already`);
    }
    if (this.#bytes + payload.length > this.#limits.bytes) {
      throw new QueueFullError(
        `no room for ${payload.length} bytes: ${this.#bytes} of ${this.#limits.bytes} are taken`,
      );
    }
    this.#last += 1;
    this.#bytes += payload.length;
    this.#entries.set(this.#last, { seq: this.#last, payload, settled, refusal: null });
    return this.#last;
  }

  /** Waiting events in order, from number `seq` on. */
  *from(seq: number): Iterable<QueuedEvent> {
    for (let next = Math.max(seq, this.#upto + 1); next <= this.#last; next += 1) {
      const entry = this.#entries.get(next);
      if (entry) yield entry;
    }
  }

  /** Remembers a refusal until the number is settled. Verdicts that only inform, and numbers not waiting, change nothing. */
  judge(verdict: Verdict): void {
    const entry = this.#entries.get(verdict.seq);
    if (entry && verdict.refused) entry.refusal = verdict;
  }

  /**
   * Settles everything up to `upto`, a number that was given out, and returns how many events that were. Of those below
   * `knownFrom` without a refusal nobody knows whether they had one.
   */
  settle(upto: number, level: Level, knownFrom = 0): number {
    let count = 0;
    while (this.#upto < upto) {
      const seq = this.#upto + 1;
      const entry = this.#remove(seq);
      this.#upto = seq;
      count += 1;
      entry?.settled(outcome(entry, level, knownFrom));
    }
    return count;
  }

  /** Lets go of everything, all outcomes unknown. Numbers go on where they were. */
  abandon(): void {
    for (const entry of this.#entries.values()) entry.settled({ seq: entry.seq, outcome: "unknown" });
    this.#entries.clear();
    this.#bytes = 0;
    this.#upto = this.#last;
  }

  #remove(seq: number): Entry | undefined {
    const entry = this.#entries.get(seq);
    if (!entry) return undefined;
    this.#entries.delete(seq);
    this.#bytes -= entry.payload.length;
    return entry;
  }
}

function outcome({ seq, refusal }: Entry, level: Level, knownFrom: number): Settlement {
  if (refusal) return { seq, outcome: "refused", code: refusal.code, message: refusal.message };
  if (seq < knownFrom) return { seq, outcome: "unknown" };
  return { seq, outcome: "acknowledged", level };
}
