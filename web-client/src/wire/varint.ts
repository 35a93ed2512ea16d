import { FrameError } from "../errors/frame-error.js";
import type { Bytes } from "./bytes.js";

/** Bytes that `value` takes as a varint (RFC 9000, section 16). Throws `RangeError` unless it is an integer in 0..2^53-1. */
export function varintLength(value: number): 1 | 2 | 4 | 8 {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an integer in 0..2^53-1: ${value}`);
  if (value < 0x40) return 1;
  if (value < 0x4000) return 2;
  return value < 0x4000_0000 ? 4 : 8;
}

/** `value` in its shortest form. */
export function varint(value: number): Bytes {
  const length = varintLength(value);
  const bytes = new Uint8Array(length);
  for (let index = length - 1, rest = value; index >= 0; index -= 1) {
    bytes[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes[0] = (bytes[0] ?? 0) | (Math.log2(length) << 6);
  return bytes;
}

/** A varint and how many bytes it took. */
export interface Varint {
  readonly value: number;
  readonly length: number;
}

/**
 * Reads the varint at `offset`; `null` while some of its bytes are missing. Longer forms than needed are accepted, as RFC 9000
 * has it. Throws `FrameError` above 2^53-1, which no number of the protocol exceeds.
 */
export function readVarint(bytes: Uint8Array, offset: number): Varint | null {
  const [first = 0, ...rest] = bytes.subarray(offset, offset + 8);
  const length = 1 << (first >> 6);
  if (offset + length > bytes.length) return null;
  const value = rest.slice(0, length - 1).reduce((high, byte) => high * 256 + byte, first & 0x3f);
  if (!Number.isSafeInteger(value)) throw new FrameError("varint above 2^53-1");
  return { value, length };
}
