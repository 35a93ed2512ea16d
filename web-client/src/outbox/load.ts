import { unpack } from "./chunk.js";
import { answer, type Tables } from "./database.js";
import type { SlotState, StoredEvent } from "./store.js";

/** A slot without its events, as the database has it. */
export interface SlotRecord {
  readonly client: string;
  readonly epoch: number;
  readonly upto: number;
  readonly last: number;
  /** When it was written last, Unix ms. */
  readonly usedAt: number;
}

/** Where a chunk is, and which numbers it spans. */
export interface ChunkSpan {
  /** Second part of its key; events before it was thinned out may have begun here. */
  readonly first: number;
  readonly last: number;
  /** Events in it, settled ones too. */
  readonly count: number;
}

/** A slot as it was loaded. */
export interface Loaded {
  readonly state: SlotState;
  readonly spans: ChunkSpan[];
}

const CLIENT_NAME = /^[A-Za-z0-9._:-]{1,128}$/;

/** Keys of a slot's chunks that begin at `last` or before; without it all keys that begin with the slot. */
export function chunkRange(slot: number, last?: number): IDBKeyRange {
  // Arrays sort after everything else.
  return IDBKeyRange.bound([slot], [slot, last ?? []]);
}

/**
 * What the database has of `slot`. Records that are no chunks are deleted and passed over. A slot that is not there, or of which
 * nothing can be made, becomes the one that `fresh` makes.
 */
export async function load(
  tables: Tables,
  slot: number,
  now: number,
  fresh: (broken: boolean) => Pick<SlotRecord, "client" | "epoch">,
): Promise<Loaded> {
  const [record, keys, chunks] = await Promise.all([
    answer<unknown>(tables.slots.get(slot)),
    answer(tables.chunks.getAllKeys(chunkRange(slot))),
    answer<unknown[]>(tables.chunks.getAll(chunkRange(slot))),
  ]);
  const found = isSlotRecord(record);
  if (!found) tables.chunks.delete(chunkRange(slot));
  const base = found ? record : { ...fresh(record !== undefined), upto: 0, last: 0 };
  const events: StoredEvent[] = [];
  const spans: ChunkSpan[] = [];
  for (const [index, key] of found ? keys.entries() : []) {
    const unpacked = unpack(chunks[index]);
    const span = unpacked && spanAt(key, unpacked);
    if (!span || span.first <= (spans.at(-1)?.last ?? 0) || span.last <= base.upto) {
      tables.chunks.delete(key);
      continue;
    }
    spans.push(span);
    for (const event of unpacked) if (event.seq > base.upto) events.push(event);
  }
  const { client, epoch, upto } = base;
  const last = Math.max(base.last, upto, spans.at(-1)?.last ?? 0);
  const kept: SlotRecord = { client, epoch, upto, last, usedAt: now };
  tables.slots.put(kept, slot);
  return { state: { client, epoch, upto, last, events }, spans };
}

function spanAt(key: IDBValidKey, events: readonly StoredEvent[]): ChunkSpan | null {
  const first: unknown = Array.isArray(key) ? key[1] : null;
  if (typeof first !== "number" || first > (events[0]?.seq ?? 0)) return null;
  return { first, last: events.at(-1)?.seq ?? 0, count: events.length };
}

/** Whether a record says what a slot must. */
export function isSlotRecord(record: unknown): record is SlotRecord {
  const { client, epoch, upto, last, usedAt } = Object(record) as Partial<Record<keyof SlotRecord, unknown>>;
  return (
    typeof client === "string" &&
    CLIENT_NAME.test(client) &&
    isCount(epoch) &&
    isCount(upto) &&
    isCount(last) &&
    upto <= last &&
    typeof usedAt === "number"
  );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
