import type { Bytes } from "../wire/bytes.js";
import type { StoredEvent } from "./store.js";

/** A record of the database: some events in a row. Few records cost less than many. */
export interface Chunk {
  readonly seqs: Float64Array<ArrayBuffer>;
  /** Unix ms. */
  readonly ats: Float64Array<ArrayBuffer>;
  readonly lengths: Uint32Array<ArrayBuffer>;
  /** Payloads back to back. */
  readonly bytes: Bytes;
}

const CHUNK_EVENTS_MAX = 256;
const CHUNK_BYTES_MAX = 64 * 1024;

/** Events, in order, as chunks. A chunk is over its bytes only where one event alone is. */
export function pack(events: readonly StoredEvent[]): Chunk[] {
  const chunks: Chunk[] = [];
  let from = 0;
  let bytes = 0;
  events.forEach(({ payload }, index) => {
    const full = index - from >= CHUNK_EVENTS_MAX || bytes + payload.length > CHUNK_BYTES_MAX;
    if (full && index > from) {
      chunks.push(chunkOf(events.slice(from, index), bytes));
      from = index;
      bytes = 0;
    }
    bytes += payload.length;
  });
  if (from < events.length) chunks.push(chunkOf(events.slice(from), bytes));
  return chunks;
}

function chunkOf(events: readonly StoredEvent[], length: number): Chunk {
  const bytes = new Uint8Array(length);
  let end = 0;
  for (const { payload } of events) {
    bytes.set(payload, end);
    end += payload.length;
  }
  return {
    seqs: Float64Array.from(events, ({ seq }) => seq),
    ats: Float64Array.from(events, ({ at }) => at),
    lengths: Uint32Array.from(events, ({ payload }) => payload.length),
    bytes,
  };
}

/** The events of a record, numbers rising; `null` for a record that no `pack` has made. */
export function unpack(record: unknown): StoredEvent[] | null {
  if (!isChunk(record)) return null;
  const { seqs, ats, lengths, bytes } = record;
  const events: StoredEvent[] = [];
  let end = 0;
  let last = 0;
  for (const [index, seq] of seqs.entries()) {
    const [at, length] = [ats[index], lengths[index]];
    if (at === undefined || length === undefined) return null;
    if (!Number.isSafeInteger(seq) || seq <= last || !Number.isFinite(at) || end + length > bytes.length) return null;
    events.push({ seq, payload: bytes.subarray(end, end + length), at });
    end += length;
    last = seq;
  }
  return end === bytes.length && events.length > 0 ? events : null;
}

function isChunk(record: unknown): record is Chunk {
  const { seqs, ats, lengths, bytes } = Object(record) as Partial<Record<keyof Chunk, unknown>>;
  return (
    seqs instanceof Float64Array &&
    ats instanceof Float64Array &&
    lengths instanceof Uint32Array &&
    bytes instanceof Uint8Array &&
    ats.length === seqs.length &&
    lengths.length === seqs.length
  );
}
