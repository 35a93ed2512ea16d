import { OutboxFullError } from "../errors/outbox-full-error.js";
import { StorageError } from "../errors/storage-error.js";
import type { Bytes } from "../wire/bytes.js";
import type { Level } from "../wire/codes.js";
import type { Verdict } from "../wire/frames.js";
import { withId } from "./identity.js";
import type { Lease, SlotState, SlotStore, StoredEvent } from "./store.js";

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

/** Why an event was given up unsent, or without knowing that it arrived. */
export type DropReason = "overflow" | "expired";

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

/** Numbers events and keeps them, in memory and in the slot's store, until they are settled. */
export class Outbox implements SlotState {
  readonly #store: SlotStore;
  readonly #limits: OutboxLimits;
  readonly #now: () => number;
  readonly #listener: OutboxListener;
  readonly #refusals = new Map<number, Verdict>();
  #sentUpto: number;
  /** Everything up to here is stored: who takes over the slot sends it. */
  #stored: number;
  /** Everything up to here is as safe as it gets: stored, or in memory alone where storage fails. */
  #safe: number;
  #saving: Promise<void> | null = null;
  #gone: StorageError | null = null;
  #waiting: (() => void)[] = [];

  // The following are for others to read.

  /** Unsettled, in order of their numbers. */
  events: StoredEvent[];
  /** Name that the gateway knows the numbering by. */
  client: string;
  epoch: number;
  /** Highest number given out; 0 before the first. */
  last: number;
  /** Everything up to here is settled. */
  upto: number;
  /** The highest number that may ever have been on its way. */
  everSent: number;
  /** Payload bytes of unsettled events. */
  bytes = 0;
  /**
   * To be set while no time is left to wait for storage: events are in `from` at once, as far as their numbers are reserved. Where
   * they are not stored in the end, nobody uses their numbers again.
   */
  hurried = false;
  /** To be set: called when there is something new in `from`. */
  onStored: () => void = () => {};

  /** Goes on where the lease's state stands. Loaded events beyond the limits are dropped and told of soon after. */
  constructor(
    { state, store }: Lease,
    parts: { readonly limits: OutboxLimits; readonly now: () => number; readonly listener: OutboxListener },
  ) {
    this.#store = store;
    this.#limits = parts.limits;
    this.#now = parts.now;
    this.#listener = parts.listener;
    this.client = state.client;
    this.epoch = state.epoch;
    this.upto = this.#sentUpto = state.upto;
    this.last = this.#stored = this.#safe = this.everSent = state.last;
    this.events = [...state.events];
    for (const { payload } of state.events) this.bytes += payload.length;
    store.onLost = (error) => this.lose(error);
    // Not before the listener's owner has this outbox in hand.
    queueMicrotask(() => {
      this.#expire();
      this.#makeRoom(0);
    });
  }

  /** Unsettled events. */
  get length(): number {
    return this.events.length;
  }

  /** The lowest number that is neither settled nor given up; `last + 1` where there is none. */
  get first(): number {
    return this.events[0]?.seq ?? this.last + 1;
  }

  /** Numbers up to here are on their way on the current link, and never dropped; to be set to `upto` when it ends. */
  get sentUpto(): number {
    return this.#sentUpto;
  }

  set sentUpto(seq: number) {
    this.#sentUpto = seq;
    this.everSent = Math.max(this.everSent, seq);
  }

  /**
   * Takes an event and numbers it at once; resolves when it is stored, or when it is clear that storage does not take it and it
   * lives in memory alone. Oldest events that are not on their way make room and are reported. Rejects with `OutboxFullError`
   * when that is not enough, and with `StorageError` once the slot is not ours any more: the event was not taken then.
   */
  push(payload: Bytes): Promise<void> {
    const { length } = payload;
    if (this.#gone) return Promise.reject(this.#gone);
    if (!this.#makeRoom(length)) {
      return Promise.reject(new OutboxFullError(`no room for ${length} bytes beside events on their way`));
    }
    this.last += 1;
    this.bytes += length;
    this.events.push({ seq: this.last, payload, at: this.#now() });
    if (this.hurried && this.last <= this.#sendable) queueMicrotask(() => this.onStored());
    return this.#save();
  }

  /** Resolves when unsettled bytes are at most `roomBytes`, and when the outbox is over. */
  room(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#look();
    });
  }

  /** Stored events (`hurried`: and others) in order, from `seq` on; expired ones are dropped on the way. The outbox may change meanwhile. */
  *from(seq: number): Iterable<StoredEvent> {
    this.#expire();
    for (let next = seq; ; ) {
      const event = this.events[this.#search(next)];
      if (!event || event.seq > this.#sendable) return;
      next = event.seq + 1;
      yield event;
    }
  }

  /** Remembers a refusal until the number is settled. Verdicts that only inform, and numbers not waiting, change nothing. */
  judge(verdict: Verdict): void {
    const { seq, refused } = verdict;
    if (refused && this.events[this.#search(seq)]?.seq === seq) this.#refusals.set(seq, verdict);
  }

  /**
   * Settles everything up to `upto`, a number that was sent, and returns how many numbers that were. Of those below `knownFrom`
   * without a refusal nobody knows whether they had one.
   */
  settle(upto: number, level: Level, knownFrom = 0): number {
    const end = Math.min(upto, this.last);
    const count = end - this.upto;
    if (count <= 0) return 0;
    const now = this.#now();
    const settlements = this.#take(0, this.#search(end + 1)).map((event): Settlement => {
      const { seq, at } = event;
      const refusal = this.#refusals.get(seq) ?? (seq < knownFrom ? UNKNOWN : undefined);
      return { event, latencyMs: Math.max(0, now - at), level, refusal };
    });
    for (const seq of this.#refusals.keys()) if (seq <= end) this.#refusals.delete(seq);
    this.upto = end;
    this.#stored = Math.max(this.#stored, end);
    this.#safe = Math.max(this.#safe, end);
    this.sentUpto = Math.max(this.#sentUpto, end);
    this.#store.trim(this);
    if (settlements.length > 0) this.#listener.settled(settlements);
    this.#look();
    return count;
  }

  /**
   * Goes on under another name or epoch: what is unsettled is numbered from 1. Events that may have been sent before keep the
   * `id` that the gateway gave them. Nothing is in `from` until that is stored.
   */
  restart(client: string, epoch: number): Promise<void> {
    if (this.#gone) return Promise.reject(this.#gone);
    // Until the new numbering is written, these are stored under the old one.
    this.#stored = this.#search(this.#stored + 1);
    this.events = this.events.map((event, index) => {
      const payload = this.#named(event);
      this.bytes += payload.length - event.payload.length;
      return { seq: index + 1, payload, at: event.at };
    });
    this.#refusals.clear();
    this.client = client;
    this.epoch = epoch;
    this.last = this.length;
    this.upto = this.#sentUpto = this.everSent = this.#safe = 0;
    return this.#save();
  }

  /**
   * The slot is somebody else's, or its name is: what is stored is theirs to send, anything else the listener's again. The outbox is empty
   * then, and takes nothing more; the slot is ours until it is released.
   */
  lose(error = new StorageError("lost", "another instance has the slot")): void {
    if (this.#gone?.reason === "lost") return;
    this.#gone = error;
    const { client, epoch, upto, last } = this;
    const events = this.#take(0, this.#search(this.#stored + 1));
    const unstored = this.#take(0, this.length);
    this.#store.trim({ client, epoch, upto, last, events });
    this.#look();
    this.#listener.lost?.(unstored.map((event) => ({ ...event, payload: this.#named(event) })));
  }

  /** Writes what is pending and gives the slot back. Nothing is taken any more. */
  async release(): Promise<void> {
    this.#gone ??= new StorageError("released", "the outbox was released");
    this.#look();
    await this.#saving;
    await this.#store.release();
  }

  get #sendable(): number {
    return this.hurried ? Math.max(this.#safe, this.#store.reserved) : this.#safe;
  }

  /** Ends when everything so far is as safe as it gets. Calls of one go share the promise. */
  #save(): Promise<void> {
    this.#saving ??= Promise.resolve().then(async () => {
      this.#saving = null;
      if (this.#gone?.reason === "lost") return;
      const { client, epoch, last } = this;
      let stored = last;
      try {
        await this.#store.save(this);
      } catch (error) {
        if ((error as StorageError).reason === "lost") return this.lose(error as StorageError);
        stored = 0;
      }
      if (client !== this.client || epoch !== this.epoch) return this.#save();
      this.#stored = Math.max(this.#stored, stored);
      if (last <= this.#safe) return;
      this.#safe = last;
      this.onStored();
    });
    return this.#saving;
  }

  /** The payload, with the `id` that the gateway may have given it: numbers that were never sent may belong to other events there. */
  #named({ seq, payload }: StoredEvent): Bytes {
    return seq <= this.everSent ? withId(payload, `${this.client}-${this.epoch}-${seq}`) : payload;
  }

  /** Drops the oldest events not on their way until `bytes` more fit; nothing, and false, when they would not. */
  #makeRoom(bytes: number): boolean {
    const excess = () => this.bytes + bytes - this.#limits.bytes;
    if (excess() > 0) this.#expire();
    const first = this.#search(this.#sentUpto + 1);
    let end = first;
    for (let left = excess(); left > 0; end += 1) {
      const event = this.events[end];
      if (!event) return false;
      left -= event.payload.length;
    }
    this.#drop("overflow", first, end);
    return true;
  }

  /** Events are about as old as their place says, so the first that is young enough ends the search. */
  #expire(): void {
    const oldest = this.#now() - this.#limits.ageMs;
    const first = this.#search(this.#sentUpto + 1);
    let end = first;
    for (let event = this.events[end]; event && event.at <= oldest; event = this.events[end]) end += 1;
    this.#drop("expired", first, end);
  }

  #drop(reason: DropReason, first: number, end: number): void {
    if (end <= first) return;
    const events = this.#take(first, end);
    this.#store.trim(this);
    this.#listener.dropped(reason, events);
    this.#look();
  }

  #take(first: number, end: number): StoredEvent[] {
    const events = this.events.splice(first, end - first);
    for (const { payload } of events) this.bytes -= payload.length;
    return events;
  }

  /** Position of the first event with a number of at least `seq`; `length` if there is none. */
  #search(seq: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.events[middle]?.seq ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Lets those go who wait for room. */
  #look(): void {
    if (!this.#gone && this.bytes > this.#limits.roomBytes) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
