import { utf8 } from "../session/shared.js";
import type { Bytes } from "./bytes.js";
import { FRAME_TYPES } from "./codes.js";
import type { ClientFrame, Events } from "./frames.js";
import { join } from "./join.js";
import { varint, varintLength } from "./varint.js";

const LOSSY = 0b100;

/** One whole frame, ready for any carrier. */
export function encode({ type, body }: ClientFrame): Bytes {
  let bytes: Uint8Array;
  if (type === "events") bytes = events(body);
  else if (type === "ping" || type === "pong") bytes = body;
  else bytes = utf8(JSON.stringify(body));
  return join([Uint8Array.of(FRAME_TYPES.indexOf(type)), varint(bytes.length), bytes]);
}

/** EVENTS of one structured CloudEvent that is not acknowledged. */
export function encodeLossy(payload: Bytes): Bytes {
  return encode({ type: "events", body: { first_seq: 0, lossy: true, records: [{ alias: 0, payload }] } });
}

/** Bytes that a record of alias 0 takes inside EVENTS. */
export function structuredRecordLength({ length }: Uint8Array): number {
  return 2 + varintLength(length) + length;
}

/** An upper bound of what EVENTS takes beside its records: type, length, flags, first number and count. */
export const EVENTS_OVERHEAD_BYTES_MAX = 1 + 8 + 1 + 8 + 8;

function events({ first_seq, lossy, records }: Events): Bytes {
  const head = [Uint8Array.of(lossy ? LOSSY : 0), varint(first_seq), varint(records.length)];
  // A record may have optional fields, which this client has no use for: its flags are 0.
  const each = records.flatMap(({ alias, payload }) => [varint(alias), varint(0), varint(payload.length), payload]);
  return join([...head, ...each]);
}
