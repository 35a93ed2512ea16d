import type { Bytes } from "./bytes.js";
import { FrameType } from "./codes.js";
import type { ClientFrame, EventRecord, Events } from "./frames.js";
import { varintLength } from "./varint.js";
import { prefixedLength, utf8, Writer } from "./writer.js";

const LOSSY = 0b100;
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
  const parts = records.map(optionalFields);
  let length = 1 + varintLength(first_seq) + varintLength(records.length);
  for (const part of parts) length += part.length;

  const writer = new Writer(1 + varintLength(length) + length);
  writer.byte(FrameType.events);
  writer.varint(length);
  writer.byte(lossy ? LOSSY : 0);
  writer.varint(first_seq);
  writer.varint(records.length);
  for (const part of parts) writeRecord(writer, part);
  return writer.finish();
}

/** A record with its texts encoded and its size known. */
interface RecordPart {
  readonly record: EventRecord;
  readonly key: Bytes | undefined;
  readonly id: Bytes | undefined;
  readonly attributes: Bytes | undefined;
  readonly length: number;
}

function optionalFields(record: EventRecord): RecordPart {
  const key = record.key === undefined ? undefined : utf8(record.key);
  const id = record.id === undefined ? undefined : utf8(record.id);
  const attributes = record.attributes === undefined ? undefined : utf8(record.attributes);
  let length = varintLength(record.alias) + 1 + prefixedLength(record.payload);
  if (key) length += prefixedLength(key);
  if (record.time !== undefined) length += varintLength(record.time);
  if (id) length += prefixedLength(id);
  if (attributes) length += prefixedLength(attributes);
  return { record, key, id, attributes, length };
}

function writeRecord(writer: Writer, { record, key, id, attributes }: RecordPart): void {
  const present = (key ? 1 : 0) | (record.time !== undefined ? 2 : 0) | (id ? 4 : 0) | (attributes ? 8 : 0);
  writer.varint(record.alias);
  writer.byte(present);
  if (key) writer.prefixed(key);
  if (record.time !== undefined) writer.varint(record.time);
  if (id) writer.prefixed(id);
  if (attributes) writer.prefixed(attributes);
  writer.prefixed(record.payload);
}
