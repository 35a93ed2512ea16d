import type { Bytes } from "./bytes.js";
import { FrameType } from "./codes.js";
import type { ClientFrame, Events } from "./frames.js";
import { varint } from "./varint.js";
import { join, prefixedLength, utf8 } from "./writer.js";

const LOSSY = 0b100;
/** A record may have optional fields, which this client has no use for. */
const NO_FIELDS = Uint8Array.of(0);
const PING_BYTES_MAX = 8;

/** One whole frame, ready for any carrier. Throws `RangeError` for numbers that the protocol has no room for. */
export function encode(frame: ClientFrame): Bytes {
  switch (frame.type) {
    case "events":
      return encodeEvents(frame.body);
    case "ping":
    case "pong":
      if (frame.body.length > PING_BYTES_MAX)
        throw new RangeError(`${frame.type} of ${frame.body.length} bytes, at most 8`);
      return encodeFrame(FrameType[frame.type], frame.body);
    default:
      return encodeFrame(FrameType[frame.type], utf8(JSON.stringify(frame.body)));
  }
}

/** EVENTS of one structured CloudEvent that is not acknowledged. */
export function encodeLossy(payload: Uint8Array): Bytes {
  return encodeEvents({ first_seq: 0, lossy: true, records: [{ alias: 0, payload }] });
}

/** Bytes that a record of alias 0 takes inside EVENTS. */
export function structuredRecordLength(payload: Uint8Array): number {
  return 2 + prefixedLength(payload);
}

/** An upper bound of what EVENTS takes beside its records: type, length, flags, first number and count. */
export const EVENTS_OVERHEAD_BYTES_MAX = 1 + 8 + 1 + 8 + 8;

function encodeFrame(type: number, ...body: readonly Uint8Array[]): Bytes {
  const length = body.reduce((sum, part) => sum + part.length, 0);
  return join([Uint8Array.of(type), varint(length), ...body]);
}

function encodeEvents({ first_seq, lossy, records }: Events): Bytes {
  const parts: Uint8Array[] = [Uint8Array.of(lossy ? LOSSY : 0), varint(first_seq), varint(records.length)];
  for (const { alias, payload } of records) parts.push(varint(alias), NO_FIELDS, varint(payload.length), payload);
  return encodeFrame(FrameType.events, ...parts);
}
