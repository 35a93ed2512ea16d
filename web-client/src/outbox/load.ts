import { integer, wrongMember } from "../wire/shape.js";
import { isChunk, seqsOf } from "./chunk.js";
import { answer, type Tables } from "./database.js";
import type { SlotState, StoredEvent } from "./store.js";

/** A slot without its events, as the database has it. */
export interface SlotRecord {
  readonly client: string;
  readonly epoch: number;
  readonly upto: number;
  readonly last: number;
  /** Numbers that were given up and are in a chunk all the same. */
  readonly gone: readonly number[];
}

/** A slot as it was loaded. */
export interface Loaded {
  readonly state: SlotState;
  /** The numbers in each chunk; it is kept under the first. */
  readonly chunks: readonly (readonly number[])[];
  readonly gone: readonly number[];
}

const RECORD = {
  client: (value: unknown) => /^[A-Za-z0-9._:-]{1,128}$/.test(String(value)),
  epoch: integer,
  upto: integer,
  last: integer,
  gone: Array.isArray,
};

/** Keys of a slot's chunks. */
export function chunkRange(slot: number): IDBKeyRange {
  // Arrays sort after everything else.
  return IDBKeyRange.bound([slot], [slot, []]);
}

/**
 * What the database has of `slot`. Records that are no chunks are deleted and passed over. A slot that is not there, or of which
 * nothing can be made, becomes the one that `fresh` makes.
 */
export async function load(
  tables: Tables,
  slot: number,
  fresh: (broken: boolean) => Pick<SlotRecord, "client" | "epoch">,
): Promise<Loaded> {
  const range = chunkRange(slot);
  const [kept, keys, found] = await Promise.all([
    answer<unknown>(tables.slots.get(slot)),
    answer(tables.chunks.getAllKeys(range)),
    answer<unknown[]>(tables.chunks.getAll(range)),
  ]);
  const good = wrongMember(kept, RECORD) === undefined;
  const { client, epoch, upto, last, gone } = good
    ? (kept as SlotRecord)
    : { ...fresh(kept !== undefined), upto: 0, last: 0, gone: [] };
  const events: StoredEvent[] = [];
  const chunks: number[][] = [];
  const given = new Set(gone);
  let highest = Math.max(last, upto);
  keys.forEach((key, index) => {
    const chunk = found[index];
    if (!good || !isChunk(chunk, (key as unknown[])[1]) || (chunk.at(-1)?.seq ?? 0) <= upto) {
      tables.chunks.delete(key);
      return;
    }
    chunks.push(seqsOf(chunk));
    for (const event of chunk) {
      highest = Math.max(highest, event.seq);
      if (event.seq > upto && !given.has(event.seq)) events.push(event);
    }
  });
  const record: SlotRecord = { client, epoch, upto, last: highest, gone };
  tables.slots.put(record, slot);
  return { state: { client, epoch, upto, last: highest, events }, chunks, gone };
}
