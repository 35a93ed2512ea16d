import type { StoredEvent } from "./store.js";

/** A record of the database: some events in a row. Few records cost less than many. */
export type Chunk = readonly StoredEvent[];

const CHUNK_EVENTS_MAX = 256;
const CHUNK_BYTES_MAX = 64 * 1024;

/** Events, in order, as chunks. A chunk is over its bytes only where one event alone is. */
export function pack(events: readonly StoredEvent[]): Chunk[] {
  const chunks: StoredEvent[][] = [];
  let chunk: StoredEvent[] = [];
  let bytes = 0;
  for (const event of events) {
    bytes += event.payload.length;
    if (chunk.length === 0 || chunk.length >= CHUNK_EVENTS_MAX || bytes > CHUNK_BYTES_MAX) {
      chunk = [];
      chunks.push(chunk);
      bytes = event.payload.length;
    }
    chunk.push(event);
  }
  return chunks;
}

/** The numbers of a chunk. */
export function seqsOf(chunk: Chunk): number[] {
  return chunk.map(({ seq }) => seq);
}

/** Whether a record is a chunk that begins with `first`. */
export function isChunk(record: unknown, first: unknown): record is Chunk {
  if (!Array.isArray(record) || record[0]?.seq !== first) return false;
  let last = 0;
  return record.every((event) => {
    const { seq, at, payload } = Object(event);
    const good = Number.isSafeInteger(seq) && seq > last && Number.isFinite(at) && payload instanceof Uint8Array;
    last = seq;
    return good;
  });
}
