import { FrameError, integer } from "../session/shared.js";
import { eventCodeName, FIRST_INFORMATIVE_CODE, FRAME_TYPES, isLevel, LEVELS, REASONS } from "./codes.js";
import type { Ack, GatewayFrame, Verdict, Welcome } from "./frames.js";
import { parse } from "./parse.js";
import { text } from "./text.js";
import { readVarint } from "./varint.js";

const FIRST_IGNORED_TYPE = 0x80;
const PING_BYTES_MAX = 8;

/** Reads a frame of a gateway by the number of its type. Throws `FrameError` where it is none. */
export function decode(number: number, body: Uint8Array): GatewayFrame {
  const type = FRAME_TYPES[number];
  switch (type) {
    case "ack":
      return { type, body: ack(body) };
    case "ping":
    case "pong":
      if (body.length > PING_BYTES_MAX) throw new FrameError(`${type} of ${body.length} bytes`);
      return { type, body };
    case "welcome":
      return { type, body: welcome(body) };
    case "goaway":
      return { type, body: parse(type, text(body), "after_ms jitter_ms") };
    case "close":
      return { type, body: parse(type, text(body), "code retry_ms?") };
  }
  if (number < FIRST_IGNORED_TYPE) throw new FrameError(`no frame of type ${number}`);
  return { type: "unknown" };
}

/** `rej` as it comes: refusals by definition. */
interface Rejection {
  readonly s: number;
  readonly code: string;
  readonly msg?: string | null;
}

const WELCOME = "epoch? upto limit limit_bytes ping_ms max_event_bytes max_frame_bytes max_batch_events";

function welcome(bytes: Uint8Array): Welcome {
  const body = parse<Omit<Welcome, "rej"> & { rej?: readonly Rejection[] | null }>("welcome", text(bytes), WELCOME);
  const rej = (body.rej ?? []).map(({ s, code, msg }) => ({ seq: s, code, refused: true, message: msg ?? "" }));
  if (!isLevel(body.level) || !rej.every(({ seq }) => integer(seq))) throw new FrameError("welcome: wrong");
  return { ...body, rej };
}

function ack(body: Uint8Array): Ack {
  let rest = body;
  const take = (length: number) => {
    if (length > rest.length) throw new FrameError("ack: too short");
    const taken = rest.subarray(0, length);
    rest = rest.subarray(length);
    return taken;
  };
  const byte = () => take(1)[0] ?? 0;
  const varint = () => {
    const { value, length } = readVarint(rest) ?? { value: 0, length: body.length + 1 };
    take(length);
    return value;
  };
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
    const message = text(take(varint()));
    list.push({ seq, code: eventCodeName(code), refused: code < FIRST_INFORMATIVE_CODE, message });
  }
  if (!level || rest.length > 0) throw new FrameError("ack: wrong");
  return { upto, level, limit, limit_bytes, reason, retry_ms, list };
}
