import type { Clock } from "../clock.js";
import { StorageError } from "../errors/storage-error.js";
import { pack, seqsOf } from "./chunk.js";
import { answer, type Tables, type Write } from "./database.js";
import type { Hold } from "./hold.js";
import { chunkRange, type Loaded, RESERVE, type SlotRecord } from "./load.js";
import type { SlotState, SlotStore, StoredEvent } from "./store.js";

/** What a slot in the database works with. */
export interface SlotParts {
  readonly write: Write;
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
  readonly settle: (error: StorageError | null) => void;
}

const TRIM_DELAY_MS = 100;
/** After a failure whole writes are tried again no sooner. */
const RETRY_MS = 5_000;

/**
 * A slot in IndexedDB. One transaction runs at a time, and what comes meanwhile is the next one. Events are kept in chunks, which
 * are deleted when nothing in them is wanted any more; until then the slot's record says what is not. What was written outlives
 * the tab and the browser; durability is relaxed, so a power cut may take the last moments.
 */
export class IndexedDbStore implements SlotStore {
  readonly #parts: SlotParts;
  /** As the database has it. */
  #written: Pick<SlotRecord, "client" | "epoch">;
  #chunks: readonly (readonly number[])[];
  #upto: number;
  #last: number;
  /** Given up, and perhaps still in a chunk. */
  #gone: Set<number>;
  /** A new numbering that could not be written. */
  #restarting: SlotState | null = null;
  #work: Work | null = null;
  #busy: Promise<void> | null = null;
  #trimming: (() => void) | null = null;
  #ended: StorageError | null = null;
  #failure: { readonly at: number; readonly error: StorageError } | null = null;
  /** Numbers up to here may be in memory alone. */
  #unsavedUpto = 0;
  #persistent = true;
  /** See `SlotStore`. */
  reserved: number;
  onLost?: (error: StorageError) => void;

  constructor(parts: SlotParts) {
    const { state, chunks, gone } = parts.loaded;
    this.#parts = parts;
    this.#written = state;
    this.#chunks = chunks;
    this.#upto = state.upto;
    this.#last = state.last;
    this.#gone = new Set(gone);
    this.reserved = state.last + RESERVE;
    parts.hold.onLost = () => this.#lose();
  }

  append(events: readonly StoredEvent[]): Promise<void> {
    return this.#do((work) => {
      for (const event of events) work.events.push(event);
      this.#last = Math.max(this.#last, events.at(-1)?.seq ?? 0);
    });
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
    return this.#do((work) => {
      work.replace = state;
      work.events = [...state.events];
      this.#gone = new Set();
      this.#upto = state.upto;
      this.#last = state.last;
      this.#unsavedUpto = 0;
      this.reserved = 0;
    });
  }

  async release(): Promise<void> {
    if (this.#ended) return;
    this.#trim();
    this.#ended = new StorageError("released", "the slot was released");
    await this.#busy;
    // Where it cannot be given back it is free when the tab ends.
    await this.#parts.hold.release().catch(() => {});
    this.#tell(true);
  }

  /** Adds to what the next transaction writes. */
  #do(add: (work: Work) => void): Promise<void> {
    if (this.#ended) return Promise.reject(this.#ended);
    this.#work ??= newWork();
    const { done } = this.#work;
    add(this.#work);
    this.#busy ??= this.#run();
    return done;
  }

  #trimSoon(): void {
    if (!this.#ended) this.#trimming ??= this.#parts.clock.after(TRIM_DELAY_MS, () => this.#trim());
  }

  #trim(): void {
    this.#cancelTrim();
    this.#do(() => {}).catch(() => {});
  }

  #cancelTrim(): void {
    this.#trimming?.();
    this.#trimming = null;
  }

  async #run(): Promise<void> {
    // Whatever is called in one go belongs together.
    await null;
    for (let work = this.#work; work; work = this.#work) {
      this.#work = null;
      await this.#attempt(work);
    }
    this.#busy = null;
  }

  async #attempt({ replace, events, settle }: Work): Promise<void> {
    const { now } = this.#parts;
    try {
      if (this.#ended?.reason === "lost") throw this.#ended;
      if (this.#failure && now() - this.#failure.at < RETRY_MS) throw this.#failure.error;
      await this.#commit(replace, events).catch((error: StorageError) => {
        if (error.reason !== "closed") throw error;
        // The browser may have closed it in passing: once more, on a new connection.
        return this.#commit(replace, events);
      });
      this.#failure = null;
      settle(null);
    } catch (error) {
      const failure = error as StorageError;
      if (failure.reason === "lost") this.#lose();
      else {
        if (failure !== this.#failure?.error) this.#failure = { at: now(), error: failure };
        this.#unsavedUpto = Math.max(this.#unsavedUpto, events.at(-1)?.seq ?? 0);
        this.#restarting = replace ?? this.#restarting;
        // Events that do not fit still use up numbers: at least these are written, so that nobody uses them a second time. Not
        // those of a numbering that is not written yet: the old one stays whole until then.
        const isWhole = !this.#restarting && !this.#work?.replace;
        if (failure.reason !== "closed" && isWhole) await this.#commit(null, []).catch(() => {});
      }
      settle(failure);
    }
    this.#tell(this.#failure === null && this.#unsavedUpto <= this.#upto);
  }

  /** Writes `events`, what has become of older ones, and where the numbering stands. */
  async #commit(replacing: SlotState | null, events: readonly StoredEvent[]): Promise<void> {
    this.#cancelTrim();
    const { write, slot } = this.#parts;
    const replace = replacing ?? this.#restarting;
    const { client, epoch } = replace ?? this.#written;
    const [upto, last, gone] = [this.#upto, this.#last, this.#gone];
    const isWanted = (seq: number) => seq > upto && !gone.has(seq);
    const record: SlotRecord = { client, epoch, upto, last: last + RESERVE, gone: [...gone] };
    // A numbering that could not be written before brings its events along.
    const missed = replacing ? [] : (replace?.events ?? []);
    const chunks = pack([...missed, ...events].filter(({ seq }) => isWanted(seq)));
    const old = replace ? [] : this.#chunks;
    const kept = old.filter((seqs) => seqs.some(isWanted));
    await write(async (tables) => {
      await this.#requireOurs(tables);
      if (replace) tables.chunks.delete(chunkRange(slot));
      for (const seqs of old) if (!kept.includes(seqs)) tables.chunks.delete([slot, seqs[0] ?? 0]);
      for (const chunk of chunks) tables.chunks.put(chunk, [slot, chunk[0]?.seq ?? 0]);
      tables.slots.put(record, slot);
    });
    if (replace) this.#restarting = null;
    this.#written = { client, epoch };
    // Unless another numbering is asked for by now.
    if (!this.#work?.replace) this.reserved = record.last;
    this.#chunks = [...kept, ...chunks.map(seqsOf)];
    const inside = new Set(gone.size > 0 ? this.#chunks.flat() : []);
    for (const seq of gone) if (seq <= last && !inside.has(seq)) gone.delete(seq);
  }

  async #requireOurs(tables: Tables): Promise<void> {
    const { hold, slot } = this.#parts;
    const [ours, record] = await Promise.all([hold.check(tables), answer<unknown>(tables.slots.get(slot))]);
    if (record === undefined) throw new StorageError("closed", "the slot was deleted from the database");
    const { client, epoch } = Object(record) as Partial<SlotRecord>;
    if (!ours || client !== this.#written.client || epoch !== this.#written.epoch) throw lost();
  }

  #lose(): void {
    if (this.#ended?.reason === "lost") return;
    this.#ended = lost();
    this.reserved = 0;
    this.#cancelTrim();
    void this.#parts.hold.release().catch(() => {});
    this.#tell(true);
    this.onLost?.(this.#ended);
  }

  #tell(persistent: boolean): void {
    if (persistent !== this.#persistent) this.#parts.onPersistence(persistent);
    this.#persistent = persistent;
  }
}

function lost(): StorageError {
  return new StorageError("lost", "another tab has the slot");
}

function newWork(): Work {
  let settle: Work["settle"] = () => {};
  const done = new Promise<void>((resolve, reject) => {
    settle = (error) => (error ? reject(error) : resolve());
  });
  // A transaction that only trims has nobody waiting.
  done.catch(() => {});
  return { replace: null, events: [], done, settle };
}
