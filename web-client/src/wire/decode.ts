import { FrameError } from "../errors/frame-error.js";
import { eventCodeName, FIRST_INFORMATIVE_CODE, FrameType, LEVELS, type Level, levelOf, reasonOf } from "./codes.js";
import type { Ack, Close, GatewayFrame, Goaway, Verdict, Welcome } from "./frames.js";
import { Members } from "./members.js";
import { Reader, text } from "./reader.js";

const FIRST_IGNORED_TYPE = 0x80;
const PING_BYTES_MAX = 8;

/** Reads one whole frame of a gateway. Throws `FrameError` where it is none. */
export function decode(frame: Uint8Array): GatewayFrame {
  const reader = new Reader(frame);
  const decoded = decodeNext(reader);
  reader.end();
  return decoded;
}

/** Reads the next of several frames. Throws `FrameError` where there is none, or no whole one. */
export function decodeNext(reader: Reader): GatewayFrame {
  const type = reader.byte();
  const body = reader.prefixed();
  switch (type) {
    case FrameType.welcome:
      return { type: "welcome", body: welcome(Members.parse("welcome", text(body))) };
    case FrameType.ack:
      return { type: "ack", body: ack(new Reader(body)) };
    case FrameType.ping:
      return { type: "ping", body: opaque(body) };
    case FrameType.pong:
      return { type: "pong", body: opaque(body) };
    case FrameType.goaway:
      return { type: "goaway", body: goaway(Members.parse("goaway", text(body))) };
    case FrameType.close:
      return { type: "close", body: close(Members.parse("close", text(body))) };
    default:
      if (type >= FIRST_IGNORED_TYPE) return { type: "unknown" };
      throw new FrameError(`a gateway sends no frame of type 0x${type.toString(16).padStart(2, "0")}`);
  }
}

function welcome(members: Members): Welcome {
  return {
    v: members.integer("v"),
    session: members.string("session"),
    client: members.has("client") ? members.string("client") : null,
    epoch: members.has("epoch") ? members.integer("epoch") : null,
    resumed: members.boolean("resumed"),
    upto: members.integer("upto"),
    limit: members.integer("limit"),
    limit_bytes: members.integer("limit_bytes"),
    level: members.choice("level", LEVELS),
    rej: members.list("rej").map(refusal),
    rej_more: members.has("rej_more") && members.boolean("rej_more"),
    ping_ms: members.integer("ping_ms"),
    idle_ms: members.integer("idle_ms"),
    max_event_bytes: members.integer("max_event_bytes"),
    max_frame_bytes: members.integer("max_frame_bytes"),
    max_batch_events: members.integer("max_batch_events"),
    datagrams: members.boolean("datagrams"),
    server_time: members.integer("server_time"),
  };
}

/** Elements of `rej` are refusals by definition; the JSON coding keeps informative codes in a list of their own. */
function refusal(members: Members): Verdict {
  return {
    seq: members.integer("s"),
    code: members.string("code"),
    refused: true,
    message: members.has("msg") ? members.string("msg") : "",
  };
}

function ack(reader: Reader): Ack {
  const upto = reader.varint();
  const level = knownLevel(reader.byte());
  const limit = reader.varint();
  const limit_bytes = reader.varint();
  const reason = reasonOf(reader.byte());
  const retry_ms = reader.varint();
  const list = verdicts(reader);
  reader.end();
  return { upto, level, limit, limit_bytes, reason, retry_ms, list };
}

function knownLevel(byte: number): Level {
  const level = levelOf(byte);
  if (level === undefined) throw new FrameError(`ack.level: expected 1 or 2, found ${byte}`);
  return level;
}

function verdicts(reader: Reader): Verdict[] {
  const count = reader.varint();
  const list: Verdict[] = [];
  // A count beyond the bytes that follow ends in an error at the first missing one, so it cannot make this loop long.
  for (let index = 0; index < count; index += 1) {
    const seq = reader.varint();
    const code = reader.byte();
    const message = reader.string();
    list.push({ seq, code: eventCodeName(code), refused: code < FIRST_INFORMATIVE_CODE, message });
  }
  return list;
}

function opaque(body: Uint8Array): Uint8Array {
  if (body.length > PING_BYTES_MAX) throw new FrameError(`ping or pong of ${body.length} bytes, at most 8`);
  return body.slice();
}

function goaway(members: Members): Goaway {
  return {
    after_ms: members.integer("after_ms"),
    jitter_ms: members.integer("jitter_ms"),
    ...(members.has("url") && { url: members.string("url") }),
  };
}

function close(members: Members): Close {
  return {
    code: members.integer("code"),
    reason: members.string("reason"),
    ...(members.has("msg") && { msg: members.string("msg") }),
    ...(members.has("retry_ms") && { retry_ms: members.integer("retry_ms") }),
  };
}
