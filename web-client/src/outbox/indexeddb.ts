import type { Clock } from "../clock.js";
import { StorageError, type StorageFailure } from "../errors/storage-error.js";
import { type Chunk, pack, unpack } from "./chunk.js";
import { answer, type Database, type Tables } from "./database.js";
import type { Hold } from "./hold.js";
import { type ChunkSpan, chunkRange, isSlotRecord, type Loaded, type SlotRecord } from "./load.js";
import type { SlotState, SlotStore, StoredEvent } from "./store.js";

/** What a slot in the database works with. */
export interface SlotParts {
  readonly database: Database;
  readonly slot: number;
  readonly loaded: Loaded;
  readonly hold: Hold;
  readonly clock: Clock;
  readonly now: () => number;
  /** Told whenever events begin or cease to outlive the page. */
  readonly onPersistence: (persistent: boolean) => void;
}

/** What one transaction is to write; those who wait for it share the promise. */
interface Work {
  replace: SlotState | null;
  events: StoredEvent[];
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: StorageError) => void;
}

/** Chunks of which some events are given up, and which. */
type Thinned = ReadonlyMap<ChunkSpan, readonly number[]>;

const TRIM_DELAY_MS = 100;
/** After a failure whole writes are tried again no sooner. */
const RETRY_MS = 5_000;

/**
 * A slot in IndexedDB. One transaction runs at a time, and what comes meanwhile is the next one. Events are kept in chunks;
 * settled ones are deleted a chunk at a time, `upto` says which of the first chunk are. What was written outlives the tab and
 * the browser; durability is relaxed, so a power cut may take the last moments.
 */
export class IndexedDbStore implements SlotStore {
  readonly #parts: SlotParts;
  /** As the database has it. */
  #written: Pick<SlotRecord, "client" | "epoch">;
  #spans: readonly ChunkSpan[];
  #upto: number;
  #last: number;
  /** Given up, and perhaps still in a chunk. */
  #gone = new Set<number>();
  /** A new numbering that is not written yet. */
  #restarting: SlotState | null = null;
  #work: Work | null = null;
  #busy: Promise<void> | null = null;
  #due = false;
  #dirty = false;
  #cancelTrim: (() => void) | null = null;
  #ended: StorageError | null = null;
  #failure: { readonly at: number; readonly error: StorageError } | null = null;
  /** Numbers up to here may be in memory alone. */
  #unsavedUpto = 0;
  #persistent = true;
  onLost?: (error: StorageError) => void;

  constructor(parts: SlotParts) {
    const { state, spans } = parts.loaded;
    this.#parts = parts;
    this.#written = { client: state.client, epoch: state.epoch };
    this.#spans = spans;
    this.#upto = state.upto;
    this.#last = state.last;
    parts.hold.onLost = () => this.#lose();
  }

  append(events: readonly StoredEvent[]): Promise<void> {
    if (this.#ended) return Promise.reject(this.#ended);
    const work = this.#next();
    for (const event of events) work.events.push(event);
    this.#last = Math.max(this.#last, events.at(-1)?.seq ?? 0);
    this.#kick();
    return work.done;
  }

  settle(upto: number): void {
    this.#upto = Math.max(this.#upto, upto);
    this.#trimSoon();
  }

  drop(seqs: readonly number[]): void {
    for (const seq of seqs) this.#gone.add(seq);
    this.#trimSoon();
  }

  restart(state: SlotState): Promise<void> {
    if (this.#ended) return Promise.reject(this.#ended);
    const work = this.#next();
    work.replace = state;
    work.events = [...state.events];
    this.#gone = new Set();
    this.#upto = state.upto;
    this.#last = state.last;
    this.#unsavedUpto = 0;
    this.#kick();
    return work.done;
  }

  async release(): Promise<void> {
    if (this.#ended) return;
    this.#ended = new StorageError("released", "the slot was released");
    this.#cancelTrim?.();
    this.#due = this.#dirty;
    this.#kick();
    await this.#busy;
    // Where it cannot be given back it is free when the tab ends.
    await this.#parts.hold.release().catch(() => {});
    this.#tell(true);
  }

  #next(): Work {
    this.#work ??= newWork();
    return this.#work;
  }

  #trimSoon(): void {
    if (this.#ended) return;
    this.#dirty = true;
    this.#cancelTrim ??= this.#parts.clock.after(TRIM_DELAY_MS, () => {
      this.#cancelTrim = null;
      this.#due = this.#dirty;
      this.#kick();
    });
  }

  #kick(): void {
    this.#busy ??= this.#run();
  }

  async #run(): Promise<void> {
    // Whatever is called in one go belongs together.
    await null;
    while (this.#work || this.#due) {
      const work = this.#next();
      this.#work = null;
      this.#due = false;
      await this.#attempt(work);
    }
    this.#busy = null;
  }

  async #attempt(work: Work): Promise<void> {
    const { now } = this.#parts;
    try {
      if (this.#ended?.reason === "lost") throw this.#ended;
      if (this.#failure && now() - this.#failure.at < RETRY_MS) throw this.#failure.error;
      await this.#commit(work.replace, work.events).catch((error: unknown) => {
        if (!isStorageError(error, "closed")) throw error;
        // The browser may have closed it in passing: once more, on a new connection.
        return this.#commit(work.replace, work.events);
      });
      this.#failure = null;
      work.resolve();
    } catch (error) {
      const failure = error instanceof StorageError ? error : new StorageError("failed", String(error));
      if (failure.reason === "lost") this.#lose();
      else await this.#fail(work, failure);
      work.reject(failure);
    }
    this.#tell(this.#failure === null && this.#unsavedUpto <= this.#upto);
  }

  /**
   * Events that do not fit still use up numbers: at least these are written, so that nobody uses them a second time. A new
   * numbering that cannot be written is tried again, without its events, before anything else is.
   */
  async #fail(work: Work, error: StorageError): Promise<void> {
    if (error !== this.#failure?.error) this.#failure = { at: this.#parts.now(), error };
    this.#unsavedUpto = Math.max(this.#unsavedUpto, work.events.at(-1)?.seq ?? 0);
    if (work.replace) this.#restarting = work.replace;
    if (error.reason !== "closed") await this.#commit(null, []).catch(() => {});
  }

  /** Writes `events`, what has become of older ones, and where the numbering stands. */
  async #commit(replacing: SlotState | null, events: readonly StoredEvent[]): Promise<void> {
    const { database, slot, now } = this.#parts;
    const replace = replacing ?? this.#restarting;
    const upto = this.#upto;
    const gone = this.#gone;
    const seen = [...gone];
    const { client, epoch } = replace ?? this.#written;
    const record: SlotRecord = { client, epoch, upto, last: this.#last, usedAt: now() };
    const chunks = pack(events.filter(({ seq }) => seq > upto && !gone.has(seq)));
    const old = replace ? [] : this.#spans;
    const settled = old.filter(({ last }) => last <= upto);
    const live = old.slice(settled.length);
    const thinned = thin(live, seen);
    this.#dirty = false;
    try {
      await database.write(async (tables) => {
        await this.#requireOurs(tables);
        await rewrite(tables, slot, upto, thinned);
        const through = settled.at(-1)?.first;
        if (replace || through !== undefined) tables.chunks.delete(chunkRange(slot, through));
        for (const chunk of chunks) tables.chunks.put(chunk, [slot, firstOf(chunk)]);
        tables.slots.put(record, slot);
      });
    } catch (error) {
      this.#dirty = true;
      // What is in no chunk needs no other try.
      const kept = new Set([...thinned.values()].flat());
      for (const seq of seen) if (!kept.has(seq)) gone.delete(seq);
      throw error;
    }
    for (const seq of seen) gone.delete(seq);
    if (replace) this.#restarting = null;
    this.#written = { client, epoch };
    this.#spans = [...remaining(live, thinned), ...chunks.map(spanOf)];
  }

  async #requireOurs(tables: Tables): Promise<void> {
    const { hold, slot } = this.#parts;
    const [ours, record] = await Promise.all([hold.check(tables), answer<unknown>(tables.slots.get(slot))]);
    if (record === undefined) throw new StorageError("closed", "the slot was deleted from the database");
    const { client, epoch } = this.#written;
    if (ours && isSlotRecord(record) && record.client === client && record.epoch === epoch) return;
    throw new StorageError("lost", `another tab has the slot ${client}`);
  }

  #lose(): void {
    if (this.#ended?.reason === "lost") return;
    this.#ended = new StorageError("lost", `another tab has the slot ${this.#written.client}`);
    this.#cancelTrim?.();
    void this.#parts.hold.release().catch(() => {});
    this.#tell(true);
    this.onLost?.(this.#ended);
  }

  #tell(persistent: boolean): void {
    if (persistent === this.#persistent) return;
    this.#persistent = persistent;
    this.#parts.onPersistence(persistent);
  }
}

function newWork(): Work {
  let resolve = () => {};
  let reject: Work["reject"] = () => {};
  const done = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  // A transaction that only trims has nobody waiting.
  done.catch(() => {});
  return { replace: null, events: [], done, resolve, reject };
}

function thin(spans: readonly ChunkSpan[], gone: readonly number[]): Thinned {
  const thinned = new Map<ChunkSpan, number[]>();
  const sorted = [...gone].sort((a, b) => a - b);
  let index = 0;
  for (const seq of sorted) {
    let span = spans[index];
    while (span && span.last < seq) {
      index += 1;
      span = spans[index];
    }
    if (!span || seq < span.first) continue;
    const inside = thinned.get(span);
    if (inside) inside.push(seq);
    else thinned.set(span, [seq]);
  }
  return thinned;
}

async function rewrite(tables: Tables, slot: number, upto: number, thinned: Thinned): Promise<void> {
  const rewritten = [...thinned].map(async ([{ first, count }, gone]) => {
    const key = [slot, first];
    const events = gone.length < count ? unpack(await answer<unknown>(tables.chunks.get(key))) : null;
    const left = new Set(gone);
    // Fewer events than a chunk had are a chunk again.
    const [chunk] = pack((events ?? []).filter(({ seq }) => seq > upto && !left.has(seq)));
    if (chunk) tables.chunks.put(chunk, key);
    else tables.chunks.delete(key);
  });
  await Promise.all(rewritten);
}

function remaining(spans: readonly ChunkSpan[], thinned: Thinned): readonly ChunkSpan[] {
  if (thinned.size === 0) return spans;
  return spans
    .map((span) => ({ ...span, count: span.count - (thinned.get(span)?.length ?? 0) }))
    .filter(({ count }) => count > 0);
}

function firstOf({ seqs }: Chunk): number {
  return seqs[0] ?? 0;
}

function spanOf(chunk: Chunk): ChunkSpan {
  return { first: firstOf(chunk), last: chunk.seqs.at(-1) ?? 0, count: chunk.seqs.length };
}

function isStorageError(error: unknown, reason: StorageFailure): boolean {
  return error instanceof StorageError && error.reason === reason;
}
