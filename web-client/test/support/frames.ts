import type { Bytes } from "../../src/wire/bytes.js";
import { FRAME_TYPES } from "../../src/wire/codes.js";
import type { Ack, ClientFrame, EventRecord, Events, GatewayFrame, Verdict } from "../../src/wire/frames.js";
import { join } from "../../src/wire/join.js";
import { text } from "../../src/wire/text.js";
import { varint } from "../../src/wire/varint.js";
import { type Reader, reader } from "./reader.js";
import { utf8 } from "./text.js";

// The gateway's half of the codec, so that tests can play the gateway. It is held to the same golden vectors.

const REASONS = ["ok", "rate", "broker", "full", "draining", "quota", "memory"];
const EVENT_CODES: Readonly<Record<string, number>> = {
  malformed: 1,
  too_large: 2,
  schema: 3,
  unrouted: 4,
  forbidden: 5,
  expired: 6,
  broker_rejected: 7,
  filtered: 16,
  sampled: 17,
  duplicate: 18,
  throttled: 19,
};

export function encodeGatewayFrame(frame: GatewayFrame): Bytes {
  switch (frame.type) {
    case "ack":
      return wrap("ack", ackBody(frame.body));
    case "ping":
    case "pong":
      return wrap(frame.type, frame.body);
    case "welcome": {
      const rej = frame.body.rej.map(({ seq, code, message }) => ({ s: seq, code, msg: message }));
      return wrap("welcome", utf8(JSON.stringify({ ...frame.body, rej })));
    }
    case "goaway":
    case "close":
      return wrap(frame.type, utf8(JSON.stringify(frame.body)));
    case "unknown":
      return join([byte(0x80), varint(3), new Uint8Array(3)]);
  }
}

/** A client frame whose records are not compressed. */
export function decodeClientFrame(frame: Uint8Array): ClientFrame {
  const read = reader(frame);
  const type = FRAME_TYPES[read.byte()];
  const body = read.prefixed();
  read.end();
  switch (type) {
    case "hello":
    case "define":
    case "close":
    case "report":
    case "reauth":
      return { type, body: JSON.parse(text(body)) };
    case "events":
      return { type, body: events(reader(body)) };
    case "ping":
    case "pong":
      return { type, body };
    default:
      throw new Error(`a client sends no frame of type ${type}`);
  }
}

function wrap(type: (typeof FRAME_TYPES)[number], body: Uint8Array): Bytes {
  return join([byte(FRAME_TYPES.indexOf(type)), varint(body.length), body]);
}

function ackBody(ack: Ack): Bytes {
  const parts = [
    varint(ack.upto),
    byte(ack.level === "stored" ? 1 : 2),
    varint(ack.limit),
    varint(ack.limit_bytes),
    byte(REASONS.indexOf(ack.reason)),
    varint(ack.retry_ms),
    varint(ack.list.length),
    ...ack.list.flatMap(verdict),
  ];
  return join(parts);
}

function verdict({ seq, code, message }: Verdict): Bytes[] {
  const text = utf8(message);
  return [varint(seq), byte(EVENT_CODES[code] ?? 0), varint(text.length), text];
}

function byte(value: number): Bytes {
  return Uint8Array.of(value);
}

function events(reader: Reader): Events {
  const flags = reader.byte();
  if ((flags & 0b11) !== 0) throw new Error("compressed records");
  const first_seq = reader.varint();
  const count = reader.varint();
  const records: EventRecord[] = [];
  for (let index = 0; index < count; index += 1) records.push(record(reader));
  reader.end();
  return { first_seq, ...((flags & 0b100) !== 0 && { lossy: true }), records };
}

function record(reader: Reader): EventRecord {
  if (reader.varint() !== 0) throw new Error("an alias");
  if (reader.byte() !== 0) throw new Error("optional fields");
  const payload = reader.prefixed();
  return { payload: text(payload), bytes: payload.length };
}
