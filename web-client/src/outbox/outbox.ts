import { OutboxFullError } from "../errors/outbox-full-error.js";
import { StorageError } from "../errors/storage-error.js";
import type { Bytes } from "../wire/bytes.js";
import type { Level } from "../wire/codes.js";
import type { Verdict } from "../wire/frames.js";
import { withId } from "./identity.js";
import { Row } from "./row.js";
import type { Lease, SlotStore, StoredEvent } from "./store.js";
import { Waiters } from "./waiters.js";

/** Durable as `level` says, or left out by a filter of the gateway. */
interface Acknowledged {
  readonly outcome: "acknowledged";
  readonly level: Level;
}

/** Refused for good: the same bytes would be refused again. */
interface Refused {
  readonly outcome: "refused";
  readonly code: string;
  readonly message: string;
}

/** Nobody can say: the gateway has settled it and no longer knows how. */
interface Unknown {
  readonly outcome: "unknown";
}

/** What became of an event. It is never sent again. */
export type Settlement = (Acknowledged | Refused | Unknown) & {
  readonly seq: number;
  readonly event: StoredEvent;
  /** From `push` to the settlement. */
  readonly latencyMs: number;
};

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
export type DropReason = "overflow" | "expired" | "too_large";

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

/** Numbers events and keeps them, in memory and in the slot's store, until they are settled. */
export class Outbox {
  readonly #store: SlotStore;
  readonly #limits: OutboxLimits;
  readonly #now: () => number;
  readonly #listener: OutboxListener;
  readonly #waiters = new Waiters();
  readonly #refusals = new Map<number, Verdict>();
  #row = new Row();
  #client: string;
  #epoch: number;
  #last: number;
  #upto: number;
  #sentUpto: number;
  /** No number above was ever on its way. */
  #everSent: number;
  /** Everything up to here is stored, as far as it can be. */
  #stored: number;
  /** Taken, and not handed to the store yet. */
  #fresh: StoredEvent[] = [];
  #commit: Promise<void> | null = null;
  #restarted: Promise<void> = Promise.resolve();
  #restarts = 0;
  #gone: StorageError | null = null;
  /** Called when there is something new in `from`. */
  onStored: () => void = () => {};

  /** Goes on where the lease's state stands. Loaded events beyond the limits are dropped and told of soon after. */
  constructor(
    lease: Lease,
    parts: { readonly limits: OutboxLimits; readonly now: () => number; readonly listener: OutboxListener },
  ) {
    const { state, store } = lease;
    this.#store = store;
    this.#limits = parts.limits;
    this.#now = parts.now;
    this.#listener = parts.listener;
    this.#client = state.client;
    this.#epoch = state.epoch;
    this.#upto = this.#sentUpto = state.upto;
    this.#last = this.#stored = this.#everSent = state.last;
    for (const event of state.events) this.#row.push(event);
    store.onLost = (error) => this.#lose(error);
    // Not before the listener's owner has this outbox in hand.
    queueMicrotask(() => {
      this.#expire();
      this.#makeRoom(0);
    });
  }

  /** Name that the gateway knows the numbering by. */
  get client(): string {
    return this.#client;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Highest number given out; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  /** Everything up to here is settled. */
  get upto(): number {
    return this.#upto;
  }

  /** Unsettled events. */
  get length(): number {
    return this.#row.length;
  }

  /** Payload bytes of unsettled events. */
  get bytes(): number {
    return this.#row.bytes;
  }

  /** Numbers up to here are on their way on the current link, and never dropped; to be set to `upto` when it ends. */
  get sentUpto(): number {
    return this.#sentUpto;
  }

  set sentUpto(seq: number) {
    this.#sentUpto = seq;
    this.#everSent = Math.max(this.#everSent, seq);
  }

  /**
   * Takes an event and numbers it at once; resolves when it is stored, or when it is clear that storage does not take it and it
   * lives in memory alone. Oldest events that are not on their way make room and are reported. Rejects with `OutboxFullError`
   * when that is not enough, and with `StorageError` once the slot is not ours any more: the event was not taken then.
   */
  push(payload: Bytes): Promise<void> {
    if (this.#gone) return Promise.reject(this.#gone);
    if (!this.#makeRoom(payload.length)) return Promise.reject(this.#full(payload.length));
    this.#last += 1;
    const event: StoredEvent = { seq: this.#last, payload, at: this.#now() };
    this.#row.push(event);
    this.#fresh.push(event);
    // Pushes of one go share the write and its promise.
    this.#commit ??= Promise.resolve().then(() => this.#write());
    return this.#commit;
  }

  /** Resolves when unsettled bytes are at most `roomBytes`. Rejects with the signal's reason, or `StorageError` after `release`. */
  room(signal?: AbortSignal): Promise<void> {
    return this.#wait(() => this.bytes <= this.#limits.roomBytes, signal);
  }

  /** Resolves when nothing is unsettled. Rejects as `room` does. */
  empty(signal?: AbortSignal): Promise<void> {
    return this.#wait(() => this.length === 0, signal);
  }

  /** Stored (so sendable) events in order, from `seq` on; expired ones are dropped on the way. The outbox may change meanwhile. */
  *from(seq: number): Iterable<StoredEvent> {
    this.#expire();
    for (let next = seq; ; ) {
      const event = this.#row.at(this.#row.search(next));
      if (!event || event.seq > this.#stored) return;
      next = event.seq + 1;
      yield event;
    }
  }

  /** Remembers a refusal until the number is settled. Verdicts that only inform, and numbers not waiting, change nothing. */
  judge(verdict: Verdict): void {
    if (verdict.refused && this.#row.has(verdict.seq)) this.#refusals.set(verdict.seq, verdict);
  }

  /**
   * Settles everything up to `upto`, a number that was sent, and returns how many numbers that were. Of those below `knownFrom`
   * without a refusal nobody knows whether they had one.
   */
  settle(upto: number, level: Level, knownFrom = 0): number {
    const end = Math.min(upto, this.#last);
    const count = end - this.#upto;
    if (count <= 0) return 0;
    const now = this.#now();
    const settlements = this.#row
      .take(0, this.#row.search(end + 1))
      .map((event) => this.#settlement(event, now, level, knownFrom));
    this.#upto = end;
    this.#stored = Math.max(this.#stored, end);
    this.sentUpto = Math.max(this.#sentUpto, end);
    this.#store.settle(end);
    if (settlements.length > 0) this.#listener.settled(settlements);
    this.#waiters.look();
    return count;
  }

  /**
   * Goes on under another name or epoch: what is unsettled is numbered from 1. Events that may have been sent before keep the
   * `id` that the gateway gave them. Nothing is in `from` until that is stored.
   */
  restart(client: string, epoch: number): Promise<void> {
    if (this.#gone) return Promise.reject(this.#gone);
    const row = new Row();
    for (const { seq, payload, at } of this.#row.all()) {
      // Numbers that were never sent may belong to other events at the gateway.
      const kept = seq <= this.#everSent ? withId(payload, `${this.#client}-${this.#epoch}-${seq}`) : payload;
      row.push({ seq: row.length + 1, payload: kept, at });
    }
    this.#row = row;
    this.#refusals.clear();
    this.#fresh = [];
    this.#client = client;
    this.#epoch = epoch;
    this.#last = row.length;
    this.#upto = this.#sentUpto = this.#everSent = this.#stored = 0;
    this.#restarts += 1;
    const state = { client, epoch, upto: 0, last: row.length, events: row.all() };
    this.#restarted = this.#keep(this.#store.restart(state), state.last);
    return this.#restarted;
  }

  /** Writes what is pending and gives the slot back. Nothing is taken any more; who waits is told so. */
  async release(): Promise<void> {
    if (this.#gone) return;
    const pending = this.#commit;
    this.#gone = new StorageError("released", "the outbox was released");
    this.#waiters.fail(this.#gone);
    try {
      await pending;
      await this.#restarted;
    } catch {
      // Lost to another tab: whoever pushed has heard of it.
    }
    await this.#store.release();
  }

  async #write(): Promise<void> {
    // What overflow has taken back meanwhile is not worth storing.
    const events = this.#fresh.filter(({ seq }) => this.#row.has(seq));
    const last = this.#last;
    this.#fresh = [];
    this.#commit = null;
    if (events.length > 0) await this.#keep(this.#store.append(events), last);
    else await this.#restarted;
  }

  /** Numbers up to `last` are as safe as they get when `written` ends: storage that fails leaves them to memory. */
  async #keep(written: Promise<void>, last: number): Promise<void> {
    const restarts = this.#restarts;
    try {
      await written;
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      if (error.reason === "lost") return this.#lose(error);
    }
    if (restarts !== this.#restarts) return this.#restarted;
    if (last <= this.#stored) return;
    this.#stored = last;
    this.onStored();
  }

  #lose(error: StorageError): void {
    if (this.#gone?.reason === "lost") return;
    this.#gone = error;
    const unstored = this.#row.take(this.#row.search(this.#stored + 1), this.length);
    this.#row = new Row();
    this.#fresh = [];
    this.#refusals.clear();
    this.#waiters.fail(error);
    this.#listener.lost?.(unstored);
  }

  #settlement(event: StoredEvent, now: number, level: Level, knownFrom: number): Settlement {
    const { seq } = event;
    const latencyMs = Math.max(0, now - event.at);
    const refusal = this.#refusals.get(seq);
    if (refusal) {
      this.#refusals.delete(seq);
      return { seq, event, latencyMs, outcome: "refused", code: refusal.code, message: refusal.message };
    }
    if (seq < knownFrom) return { seq, event, latencyMs, outcome: "unknown" };
    return { seq, event, latencyMs, outcome: "acknowledged", level };
  }

  #full(bytes: number): OutboxFullError {
    const most = this.#limits.bytes;
    if (bytes > most) return new OutboxFullError(`event of ${bytes} bytes, the outbox holds ${most}`);
    return new OutboxFullError(`no room for ${bytes} bytes: ${this.bytes} of ${most} are taken by events on their way`);
  }

  #wait(ready: () => boolean, signal?: AbortSignal): Promise<void> {
    return this.#gone ? Promise.reject(this.#gone) : this.#waiters.wait(ready, signal);
  }

  /** Drops the oldest events not on their way until `bytes` more fit; nothing, and false, when they would not. */
  #makeRoom(bytes: number): boolean {
    const excess = () => this.bytes + bytes - this.#limits.bytes;
    if (excess() > 0) this.#expire();
    const first = this.#row.search(this.#sentUpto + 1);
    let end = first;
    let left = excess();
    while (left > 0) {
      const event = this.#row.at(end);
      if (!event) return false;
      left -= event.payload.length;
      end += 1;
    }
    this.#drop("overflow", first, end - first);
    return true;
  }

  /** Events are about as old as their place says, so the first that is young enough ends the search. */
  #expire(): void {
    const oldest = this.#now() - this.#limits.ageMs;
    const first = this.#row.search(this.#sentUpto + 1);
    let end = first;
    for (let event = this.#row.at(end); event && event.at <= oldest; event = this.#row.at(end)) end += 1;
    this.#drop("expired", first, end - first);
  }

  #drop(reason: DropReason, first: number, count: number): void {
    if (count === 0) return;
    const events = this.#row.take(first, count);
    const seqs = events.map(({ seq }) => seq);
    for (const seq of seqs) this.#refusals.delete(seq);
    this.#store.drop(seqs);
    this.#listener.dropped(reason, events);
    this.#waiters.look();
  }
}
