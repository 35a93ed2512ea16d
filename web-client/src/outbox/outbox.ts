import type { Clock } from "../clock.js";
import { OutboxFullError } from "../errors/outbox-full-error.js";
import { StorageError } from "../errors/storage-error.js";
import { refusal } from "../promises.js";
import type { Level } from "../wire/codes.js";
import type { EventRecord, Verdict } from "../wire/frames.js";
import { withId } from "./identity.js";
import { newQueue, type Queue } from "./queue.js";
import { newRoom, type Room } from "./room.js";
import type { Lease, SlotState, SlotStore, StoredEvent } from "./store.js";
import { newWriting, type Writing } from "./writing.js";

/** What became of an event. It is never sent again. */
export interface Settlement {
  readonly event: StoredEvent;
  /** From `push` to the settlement. */
  readonly latencyMs: number;
  /** How durable it is, where it was not refused; or it was left out by a filter of the gateway. */
  readonly level: Level;
  /** Refused for good: the same bytes would be refused again. Code `unknown`: nobody knows whether it was. */
  readonly refusal?: { readonly code: string; readonly message: string } | undefined;
}

/** How much an outbox keeps. */
export interface OutboxLimits {
  /** Payload bytes of everything unsettled. */
  readonly bytes: number;
  /** Older events are given up. */
  readonly ageMs: number;
  /** `room` waits for this. */
  readonly roomBytes: number;
}

/** Why an event was given up unsent, or without knowing that it arrived. `closed`: it was in memory alone when the client was. */
export type DropReason = "overflow" | "expired" | "closed";

/** Whom an outbox tells. Must not throw. */
export interface OutboxListener {
  /** Settled in a row, in order. */
  settled(settlements: readonly Settlement[]): void;
  /** Given up, in order. */
  dropped(reason: DropReason, events: readonly StoredEvent[]): void;
  /**
   * Another tab has the slot and what was stored in it; this outbox is empty from here on and takes nothing more. What was not
   * stored yet, in order, is the listener's again.
   */
  lost?(unstored: readonly StoredEvent[]): void;
}

const UNKNOWN = { code: "unknown", message: "settled; how is forgotten" };

/** What an outbox works with. */
export interface OutboxParts {
  readonly limits: OutboxLimits;
  readonly clock: Pick<Clock, "after">;
  /** Unix ms. */
  readonly now: () => number;
  readonly listener: OutboxListener;
}

/** Numbers events and keeps them, in memory and in the slot's store, until they are settled. */
export interface Outbox extends SlotState {
  /** Name that the gateway knows the numbering by. */
  readonly client: string;
  readonly epoch: number;
  /** Highest number given out; 0 before the first. */
  readonly last: number;
  /** Everything up to here is settled. */
  readonly upto: number;
  /** Unsettled, in order of their numbers. */
  readonly events: readonly StoredEvent[];
  /** Unsettled events. */
  readonly length: number;
  /** Payload bytes of unsettled events. */
  readonly bytes: number;
  /** The lowest number that is neither settled nor given up; `last + 1` where there is none. */
  readonly first: number;
  /** The highest number that may ever have been on its way. */
  readonly everSent: number;
  /** Numbers up to here are on their way on the current link, and never dropped; to be set to `upto` when it ends. */
  sentUpto: number;
  /**
   * To be set while there may be no time left to wait for storage, as on a page that is hidden: events are in `from` at once, as far as their numbers are reserved. Where
   * they are not stored in the end, nobody uses their numbers again.
   */
  hurried: boolean;
  /** To be set: called when there is something new in `from`. */
  onStored: () => void;

  /**
   * Takes an event, handed over now or `at` (Unix ms), and numbers it at once; resolves when it is stored, or when it is clear that storage does not take it and it
   * lives in memory alone. Oldest events that are not on their way make room and are reported. Rejects with `OutboxFullError`
   * when that is not enough, and with `StorageError` once the slot is not ours any more: the event was not taken then.
   */
  push(record: EventRecord, at?: number): Promise<void>;
  /** Resolves when unsettled bytes are at most `roomBytes`, and when the outbox is over. */
  room(): Promise<void>;
  /** Stored events (`hurried`: and others) in order, from `seq` on; expired ones are dropped on the way. The outbox may change meanwhile. */
  from(seq: number): Iterable<StoredEvent>;
  /** Remembers a refusal until the number is settled. Verdicts that only inform, and numbers not waiting, change nothing. */
  judge(verdict: Verdict): void;
  /**
   * Settles everything up to `upto`, a number that was sent, and returns how many numbers that were: none once the slot is lost. Of those below `knownFrom`
   * without a refusal nobody knows whether they had one.
   */
  settle(upto: number, level: Level, knownFrom?: number): number;
  /**
   * Goes on under another name or epoch: what is unsettled is numbered from 1. Events that may have been sent before keep the
   * `id` that the gateway gave them. Nothing is in `from` until that is stored.
   */
  restart(client: string, epoch: number): Promise<void>;
  /**
   * The slot is somebody else's, or its name is: what is stored is theirs to send, anything else the listener's again. The outbox is empty
   * then, and takes nothing more; the slot is ours until it is released.
   */
  lose(error?: StorageError): void;
  /** Writes what is pending, drops what storage does not take and gives the slot back. Nothing is taken any more. */
  release(): Promise<void>;
}

/** Goes on where the lease's state stands. Loaded events beyond the limits are dropped and told of soon after. */
export function openOutbox(lease: Lease, parts: OutboxParts): Outbox {
  return new LeasedOutbox(lease, parts);
}

class LeasedOutbox implements Outbox {
  client: string;
  epoch: number;
  last: number;
  upto: number;
  everSent: number;
  hurried = false;
  onStored = () => {};
  #sentUpto: number;
  #gone: StorageError | null = null;
  #waiting: (() => void)[] = [];
  readonly #refusals = new Map<number, Verdict>();
  readonly #parts: OutboxParts;
  readonly #store: SlotStore;
  readonly #queue: Queue;
  readonly #room: Room;
  readonly #writing: Writing;

  constructor({ state, store }: Lease, parts: OutboxParts) {
    this.client = state.client;
    this.epoch = state.epoch;
    this.last = this.everSent = state.last;
    this.upto = this.#sentUpto = state.upto;
    this.#parts = parts;
    this.#store = store;
    this.#queue = newQueue(state.events);
    const dropped = () => {
      store.trim(this);
      this.#look();
    };
    const room = newRoom(this.#queue, parts, () => this.#sentUpto, dropped);
    const lose = (error: StorageError) => this.lose(error);
    this.#room = room;
    this.#writing = newWriting(
      this,
      store,
      () => this.onStored(),
      lose,
      () => this.#isLost,
    );
    store.onLost = lose;
    // Not before the listener's owner has this outbox in hand.
    queueMicrotask(() => {
      room.expire();
      room.make(0);
      this.#look();
    });
  }

  get events() {
    return this.#queue.events;
  }

  get length() {
    return this.#queue.events.length;
  }

  get bytes() {
    return this.#queue.bytes;
  }

  get first() {
    return this.#queue.events[0]?.seq ?? this.last + 1;
  }

  get sentUpto() {
    return this.#sentUpto;
  }

  set sentUpto(seq) {
    this.#sentUpto = seq;
    this.everSent = Math.max(this.everSent, seq);
  }

  push({ payload, bytes }: EventRecord, at = this.#parts.now()): Promise<void> {
    if (this.#gone) return refusal(this.#gone);
    if (!this.#room.make(bytes)) {
      return refusal(new OutboxFullError(`no room for ${bytes} bytes beside events on their way`));
    }
    this.last += 1;
    this.#queue.add({ seq: this.last, payload, bytes, at });
    this.#room.watch(false);
    if (this.hurried && this.last <= this.#sendable) queueMicrotask(() => this.onStored());
    return this.#writing.save();
  }

  room(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#look();
    });
  }

  *from(seq: number): Iterable<StoredEvent> {
    this.#room.expire();
    let index = 0;
    for (let next = seq; ; index += 1) {
      // It may have moved.
      if (this.events[index]?.seq !== next) index = this.#queue.search(next);
      const event = this.events[index];
      if (!event || event.seq > this.#sendable) return;
      next = event.seq + 1;
      yield event;
    }
  }

  judge(verdict: Verdict): void {
    const { seq, refused } = verdict;
    if (refused && this.events[this.#queue.search(seq)]?.seq === seq) this.#refusals.set(seq, verdict);
  }

  settle(to: number, level: Level, knownFrom = 0): number {
    // What is lost is not ours to settle.
    if (this.#isLost) return 0;
    const end = Math.min(to, this.last);
    const count = end - this.upto;
    if (count <= 0) return 0;
    const at = this.#parts.now();
    const refusals = this.#refusals;
    const settlements = this.#queue.take(0, this.#queue.search(end + 1)).map((event): Settlement => {
      const refusal = refusals.get(event.seq) ?? (event.seq < knownFrom ? UNKNOWN : undefined);
      return { event, latencyMs: Math.max(0, at - event.at), level, refusal };
    });
    for (const seq of refusals.keys()) if (seq <= end) refusals.delete(seq);
    this.upto = end;
    this.#writing.settled(end);
    this.sentUpto = Math.max(this.#sentUpto, end);
    this.#store.trim(this);
    if (settlements.length > 0) this.#parts.listener.settled(settlements);
    this.#look();
    return count;
  }

  restart(client: string, epoch: number): Promise<void> {
    if (this.#gone) return refusal(this.#gone);
    const stored = this.#unstored;
    this.#queue.replace((event, index) => ({ ...this.#named(event), seq: index + 1 }));
    this.#refusals.clear();
    this.client = client;
    this.epoch = epoch;
    this.last = this.length;
    this.upto = this.#sentUpto = this.everSent = 0;
    this.#writing.renumbered(stored);
    return this.#writing.save();
  }

  lose(error = new StorageError("lost", "another instance has the slot")): void {
    if (this.#isLost) return;
    this.#gone = error;
    const { client, epoch, upto, last } = this;
    this.#store.trim({ client, epoch, upto, last, events: this.#queue.take(0, this.#unstored) });
    const unstored = this.#queue.take(0);
    this.#look();
    this.#parts.listener.lost?.(unstored.map((event) => this.#named(event)));
  }

  async release(): Promise<void> {
    this.#gone ??= new StorageError("released", "the outbox was released");
    this.#look();
    if (this.#unstored < this.length) await this.#writing.save();
    this.#room.drop("closed", this.#unstored);
    await this.#store.release();
  }

  get #isLost() {
    return this.#gone?.reason === "lost";
  }

  /** The highest number that may be sent. */
  get #sendable() {
    const { safe } = this.#writing;
    return this.hurried ? Math.max(safe, this.#store.reserved) : safe;
  }

  /** Position of the first event that is not stored. */
  get #unstored() {
    return this.#queue.search(this.#writing.stored + 1);
  }

  /** The event, with the `id` that the gateway may have given it: numbers that were never sent may belong to other events there. */
  #named(event: StoredEvent): StoredEvent {
    if (event.seq > this.everSent) return event;
    return { ...event, ...withId(event, `${this.client}-${this.epoch}-${event.seq}`) };
  }

  /** Something is settled, given up or over: lets those go who wait for room. */
  #look(): void {
    this.#room.watch(this.#gone !== null);
    if (!this.#gone && this.bytes > this.#parts.limits.roomBytes) return;
    for (const resolve of this.#waiting) resolve();
    this.#waiting = [];
  }
}
