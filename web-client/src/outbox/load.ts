import { recordOf } from "../wire/record.js";
import { integer, string } from "../wire/shape.js";
import { RESERVE } from "./bounds.js";
import { answer, type Tables } from "./database.js";
import type { SlotState, StoredEvent } from "./store.js";

/** Some events in a row, in one record of the database under the number of the first: few records cost less than many. */
export interface Chunk {
  readonly first: number;
  /** The highest number in it. */
  readonly last: number;
  /** How many events in it are not settled. */
  readonly count: number;
}

/** A slot without its events, as the database has it. `last`: numbers up to here may have been given out. */
export type SlotRecord = Omit<SlotState, "events">;

/** A slot as it was loaded. */
export interface Loaded {
  readonly state: SlotState;
  readonly chunks: readonly Chunk[];
}

/** Keys of a slot's chunks. */
export function chunkRange(slot: number): IDBKeyRange {
  // Arrays sort after everything else.
  return IDBKeyRange.bound([slot], [slot, []]);
}

/**
 * What the database has of `slot`. Damaged records are passed over. A slot that is not there, or of which nothing can be made, gets
 * the name that `fresh` makes; one that holds no events begins a new numbering, for the old one may have numbers that were reserved and
 * not used.
 */
export async function load(
  tables: Tables,
  slot: number,
  now: number,
  fresh: (broken: boolean) => string,
): Promise<Loaded> {
  const range = chunkRange(slot);
  const [kept, keys, found] = await Promise.all([
    answer<unknown>(tables.slots.get(slot)),
    answer(tables.chunks.getAllKeys(range)) as Promise<[number, number][]>,
    answer<unknown[]>(tables.chunks.getAll(range)),
  ]);
  const record: SlotRecord = Object(kept);
  const good = string(record.client) && [record.epoch, record.upto, record.last].every(integer);
  const events: StoredEvent[] = [];
  const chunks: Chunk[] = [];
  let last = good ? record.upto : 0;
  keys.forEach((key, index) => {
    const chunk = found[index];
    const before = events.length;
    for (const event of good && Array.isArray(chunk) ? chunk : []) {
      const { seq, at, payload } = Object(event);
      const isNext = integer(seq) && seq > last && !(seq >= (keys[index + 1]?.[1] ?? Number.POSITIVE_INFINITY));
      if (!isNext || !Number.isFinite(at) || !string(payload)) continue;
      events.push({ seq, at, ...recordOf(payload) });
      last = seq;
    }
    const count = events.length - before;
    if (count > 0) chunks.push({ first: key[1], last, count });
    else tables.chunks.delete(key);
  });
  const client = good ? record.client : fresh(kept !== undefined);
  const state =
    events.length > 0
      ? { ...record, last: Math.max(last, record.last), events }
      : { client, epoch: Math.max(now, good ? record.epoch + 1 : 0), upto: 0, last: 0, events };
  save(tables, slot, state);
  return { state, chunks };
}

/** Writes a slot's record. */
export function save({ slots }: Tables, slot: number, { client, epoch, upto, last }: SlotRecord): void {
  slots.put({ client, epoch, upto, last: last + RESERVE }, slot);
}
