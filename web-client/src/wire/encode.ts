import { encoder } from "../session/shared.js";
import type { Bytes } from "./bytes.js";
import { FRAME_TYPES } from "./codes.js";
import type { ClientFrame, EventRecord, Events } from "./frames.js";
import { join } from "./join.js";
import { varint, varintLength, writeVarint } from "./varint.js";

const LOSSY = 0b100;

/** One whole frame, ready for any carrier. */
export function encode({ type, body }: ClientFrame): Bytes {
  const parts =
    type === "events"
      ? events(body)
      : [type === "ping" || type === "pong" ? body : encoder.encode(JSON.stringify(body))];
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return join([Uint8Array.of(FRAME_TYPES.indexOf(type)), varint(length), ...parts]);
}

/** EVENTS of one event that is not acknowledged. */
export function encodeLossy(record: EventRecord): Bytes {
  return encode({ type: "events", body: { first_seq: 0, lossy: true, records: [record] } });
}

/** Bytes that a record takes inside EVENTS beside its payload, of so many bytes: alias, flags and length. */
export function recordHeadBytes(bytes: number): number {
  return 2 + varintLength(bytes);
}

/** An upper bound of what EVENTS takes beside its records: type, length, flags, first number and count. */
export const EVENTS_OVERHEAD_BYTES_MAX = 1 + 8 + 1 + 8 + 8;

function events({ first_seq, lossy, records }: Events): Uint8Array[] {
  // All payloads at once, which costs least: each behind as many zeros as its head has bytes. Alias and flags stay 0.
  const text = records.map(({ payload, bytes }) => "\0".repeat(recordHeadBytes(bytes)) + payload).join("");
  const encoded = new Uint8Array(records.reduce((sum, { bytes }) => sum + recordHeadBytes(bytes) + bytes, 0));
  encoder.encodeInto(text, encoded);
  let end = 0;
  for (const { bytes } of records) {
    end += recordHeadBytes(bytes);
    writeVarint(encoded, end, bytes);
    end += bytes;
  }
  return [Uint8Array.of(lossy ? LOSSY : 0), varint(first_seq), varint(records.length), encoded];
}
