import type { Clock } from "../clock.js";
import { OutboxFullError } from "../errors/outbox-full-error.js";
import { StorageError } from "../errors/storage-error.js";
import { refusal } from "../promises.js";
import type { Level } from "../wire/codes.js";
import type { EventRecord, Verdict } from "../wire/frames.js";
import { withId } from "./identity.js";
import { newQueue } from "./queue.js";
import { newRoom } from "./room.js";
import type { Lease, SlotState, StoredEvent } from "./store.js";
import { newWriting } from "./writing.js";

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
export function openOutbox({ state, store }: Lease, parts: OutboxParts): Outbox {
  const { limits, now, listener } = parts;
  const refusals = new Map<number, Verdict>();
  let { client, epoch, upto, last } = state;
  const queue = newQueue(state.events);
  let sentUpto = upto;
  let everSent = last;
  let gone: StorageError | null = null;
  let waiting: (() => void)[] = [];

  const sendable = () => (outbox.hurried ? Math.max(writing.safe, store.reserved) : writing.safe);

  /** The event, with the `id` that the gateway may have given it: numbers that were never sent may belong to other events there. */
  const named = (event: StoredEvent): StoredEvent =>
    event.seq <= everSent ? { ...event, ...withId(event, `${client}-${epoch}-${event.seq}`) } : event;

  /** Something is settled, given up or over: lets those go who wait for room. */
  const look = () => {
    room.watch(gone !== null);
    if (!gone && queue.bytes > limits.roomBytes) return;
    for (const resolve of waiting) resolve();
    waiting = [];
  };

  const trim = () => store.trim(outbox);
  const room = newRoom(
    queue,
    parts,
    () => sentUpto,
    () => {
      trim();
      look();
    },
  );

  const outbox: Outbox = {
    get client() {
      return client;
    },
    get epoch() {
      return epoch;
    },
    get last() {
      return last;
    },
    get upto() {
      return upto;
    },
    get events() {
      return queue.events;
    },
    get length() {
      return queue.events.length;
    },
    get bytes() {
      return queue.bytes;
    },
    get first() {
      return queue.events[0]?.seq ?? last + 1;
    },
    get everSent() {
      return everSent;
    },
    get sentUpto() {
      return sentUpto;
    },
    set sentUpto(seq) {
      sentUpto = seq;
      everSent = Math.max(everSent, seq);
    },
    hurried: false,
    onStored: () => {},

    push: ({ payload, bytes }, at = now()) => {
      if (gone) return refusal(gone);
      if (!room.make(bytes))
        return refusal(new OutboxFullError(`no room for ${bytes} bytes beside events on their way`));
      last += 1;
      queue.add({ seq: last, payload, bytes, at });
      room.watch(false);
      if (outbox.hurried && last <= sendable()) queueMicrotask(() => outbox.onStored());
      return writing.save();
    },

    room: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
        look();
      }),

    *from(seq) {
      room.expire();
      let index = 0;
      for (let next = seq; ; index += 1) {
        // It may have moved.
        if (queue.events[index]?.seq !== next) index = queue.search(next);
        const event = queue.events[index];
        if (!event || event.seq > sendable()) return;
        next = event.seq + 1;
        yield event;
      }
    },

    judge: (verdict) => {
      const { seq, refused } = verdict;
      if (refused && queue.events[queue.search(seq)]?.seq === seq) refusals.set(seq, verdict);
    },

    settle: (to, level, knownFrom = 0) => {
      // What is lost is not ours to settle.
      if (gone?.reason === "lost") return 0;
      const end = Math.min(to, last);
      const count = end - upto;
      if (count <= 0) return 0;
      const at = now();
      const settlements = queue.take(0, queue.search(end + 1)).map((event): Settlement => {
        const refusal = refusals.get(event.seq) ?? (event.seq < knownFrom ? UNKNOWN : undefined);
        return { event, latencyMs: Math.max(0, at - event.at), level, refusal };
      });
      for (const seq of refusals.keys()) if (seq <= end) refusals.delete(seq);
      upto = end;
      writing.settled(end);
      outbox.sentUpto = Math.max(sentUpto, end);
      trim();
      if (settlements.length > 0) listener.settled(settlements);
      look();
      return count;
    },

    restart: (name, number) => {
      if (gone) return refusal(gone);
      const stored = queue.search(writing.stored + 1);
      queue.replace((event, index) => ({ ...named(event), seq: index + 1 }));
      refusals.clear();
      client = name;
      epoch = number;
      last = queue.events.length;
      upto = sentUpto = everSent = 0;
      writing.renumbered(stored);
      return writing.save();
    },

    lose: (error = new StorageError("lost", "another instance has the slot")) => {
      if (gone?.reason === "lost") return;
      gone = error;
      store.trim({ client, epoch, upto, last, events: queue.take(0, queue.search(writing.stored + 1)) });
      const unstored = queue.take(0);
      look();
      listener.lost?.(unstored.map(named));
    },

    release: async () => {
      gone ??= new StorageError("released", "the outbox was released");
      look();
      const unstored = () => queue.search(writing.stored + 1);
      if (unstored() < queue.events.length) await writing.save();
      room.drop("closed", unstored());
      await store.release();
    },
  };

  const writing = newWriting(
    outbox,
    store,
    () => outbox.onStored(),
    outbox.lose,
    () => gone?.reason === "lost",
  );
  store.onLost = outbox.lose;
  // Not before the listener's owner has this outbox in hand.
  queueMicrotask(() => {
    room.expire();
    room.make(0);
    look();
  });
  return outbox;
}
