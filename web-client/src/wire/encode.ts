import type { Bytes } from "./bytes.js";
import { FrameType } from "./codes.js";
import type { ClientFrame, Events } from "./frames.js";
import { varintLength } from "./varint.js";
import { prefixedLength, utf8, Writer } from "./writer.js";

const LOSSY = 0b100;
/** A record may have optional fields, which this client has no use for. */
const NO_FIELDS = 0;
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

function encodeFrame(type: number, body: Uint8Array): Bytes {
  const writer = new Writer(1 + prefixedLength(body));
  writer.byte(type);
  writer.prefixed(body);
  return writer.finish();
}

function encodeEvents({ first_seq, lossy, records }: Events): Bytes {
  let length = 1 + varintLength(first_seq) + varintLength(records.length);
  for (const { alias, payload } of records) length += varintLength(alias) + 1 + prefixedLength(payload);

  const writer = new Writer(1 + varintLength(length) + length);
  writer.byte(FrameType.events);
  writer.varint(length);
  writer.byte(lossy ? LOSSY : 0);
  writer.varint(first_seq);
  writer.varint(records.length);
  for (const { alias, payload } of records) {
    writer.varint(alias);
    writer.byte(NO_FIELDS);
    writer.prefixed(payload);
  }
  return writer.finish();
}
