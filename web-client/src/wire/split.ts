import { FrameError } from "../session/shared.js";
import { join } from "./join.js";
import { readVarint } from "./varint.js";

/**
 * Takes chunks of a stream of frames as they come, and hands each whole frame, in order, to `take`: type and body, as a view that is good
 * during the call. Returns how many bytes of a frame that has begun it keeps. Throws `FrameError` at a frame longer than `frameBytesMax`,
 * with its type and length.
 */
export function splitter(
  frameBytesMax: number,
  take: (type: number, body: Uint8Array) => void,
): (chunk: Uint8Array) => number {
  /** A frame that has begun, with room for all of it, as far as its length is known: short chunks are copied once. */
  let begun = new Uint8Array(0);
  let filled = 0;
  return (chunk) => {
    let rest = chunk;
    if (filled + chunk.length <= begun.length) {
      begun.set(chunk, filled);
      filled += chunk.length;
      if (filled < begun.length) return filled;
      rest = begun;
    } else if (filled > 0) rest = join([begun.subarray(0, filled), chunk]);
    for (;;) {
      const body = readVarint(rest.subarray(1));
      const start = 1 + (body?.length ?? rest.length);
      const end = start + (body?.value ?? 0);
      if (end > frameBytesMax) throw new FrameError(`a frame of ${end} bytes`);
      if (end > rest.length) {
        filled = rest.length;
        begun = new Uint8Array(end);
        begun.set(rest);
        return filled;
      }
      take(rest[0] ?? 0, rest.subarray(start, end));
      rest = rest.subarray(end);
    }
  };
}
