import { FrameError } from "../errors/frame-error.js";
import { eventCodeName, FIRST_INFORMATIVE_CODE, FRAME_TYPES, isLevel, LEVELS, REASONS } from "./codes.js";
import type { Ack, Close, GatewayFrame, Goaway, Verdict, Welcome } from "./frames.js";
import { reader, text } from "./reader.js";
import { boolean, integer, listOf, optional, parse, string } from "./shape.js";

const FIRST_IGNORED_TYPE = 0x80;
const PING_BYTES_MAX = 8;

const SHAPES = {
  welcome: {
    epoch: optional(integer),
    resumed: boolean,
    upto: integer,
    limit: integer,
    limit_bytes: integer,
    level: isLevel,
    rej: optional(listOf({ s: integer, code: string, msg: optional(string) })),
    rej_more: optional(boolean),
    ping_ms: integer,
    max_event_bytes: integer,
    max_frame_bytes: integer,
    max_batch_events: integer,
    datagrams: boolean,
  },
  goaway: { after_ms: integer, jitter_ms: integer, url: optional(string) },
  close: { code: integer, reason: string, msg: optional(string), retry_ms: optional(integer) },
};

/** Reads one whole frame of a gateway. Throws `FrameError` where it is none. */
export function decode(frame: Uint8Array): GatewayFrame {
  const read = reader(frame);
  const number = read.byte();
  const body = read.prefixed();
  read.end();
  const type = FRAME_TYPES[number];
  switch (type) {
    case "ack":
      return { type, body: ack(body) };
    case "ping":
    case "pong":
      if (body.length > PING_BYTES_MAX) throw new FrameError(`${type} of ${body.length} bytes`);
      return { type, body: body.slice() };
    case "welcome":
      return { type, body: welcome(parse(type, text(body), SHAPES.welcome)) };
    case "goaway":
    case "close":
      return { type, body: parse<Goaway & Close>(type, text(body), SHAPES[type]) };
  }
  if (number < FIRST_IGNORED_TYPE) throw new FrameError(`a gateway sends no frame of type ${number}`);
  return { type: "unknown" };
}

/** `rej` as it comes: refusals by definition. */
interface Rejection {
  readonly s: number;
  readonly code: string;
  readonly msg?: string | null;
}

function welcome(body: Omit<Welcome, "rej"> & { readonly rej?: readonly Rejection[] | null }): Welcome {
  const rej = (body.rej ?? []).map(({ s, code, msg }) => ({ seq: s, code, refused: true, message: msg ?? "" }));
  return { ...body, rej };
}

function ack(body: Uint8Array): Ack {
  const { byte, varint, prefixed, end } = reader(body);
  // In the order of the bytes.
  const upto = varint();
  const level = LEVELS[byte() - 1];
  const [limit, limit_bytes] = [varint(), varint()];
  const reason = REASONS[byte()] ?? "unknown";
  const retry_ms = varint();
  const list: Verdict[] = [];
  // A count beyond the bytes that follow ends in an error at the first missing one, so it cannot make this loop long.
  for (let count = varint(); count > 0; count -= 1) {
    const [seq, code] = [varint(), byte()];
    list.push({ seq, code: eventCodeName(code), refused: code < FIRST_INFORMATIVE_CODE, message: text(prefixed()) });
  }
  end();
  if (!level) throw new FrameError("ack: no such level");
  return { upto, level, limit, limit_bytes, reason, retry_ms, list };
}
