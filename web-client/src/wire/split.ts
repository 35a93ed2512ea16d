import { FrameError } from "../session/shared.js";
import { readVarint } from "./varint.js";

/**
 * Hands the whole frames at the head of `bytes`, in order, to `take`: type and body, as a view. Returns what follows them, a frame that
 * has begun: it goes before the bytes that come next. Throws `FrameError` at a frame longer than `frameBytesMax`, with its type and
 * length.
 */
export function split(
  bytes: Uint8Array,
  frameBytesMax: number,
  take: (type: number, body: Uint8Array) => void,
): Uint8Array {
  for (let rest = bytes; ; ) {
    const body = readVarint(rest.subarray(1));
    if (!body) return rest;
    const start = 1 + body.length;
    const end = start + body.value;
    if (end > frameBytesMax) throw new FrameError(`a frame of ${end} bytes`);
    if (end > rest.length) return rest;
    take(rest[0] ?? 0, rest.subarray(start, end));
    rest = rest.subarray(end);
  }
}
