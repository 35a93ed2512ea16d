import { FrameError } from "../errors/frame-error.js";
import type { Bytes } from "./bytes.js";

/** Bytes that `value`, an integer in 0..2^53-1, takes as a varint (RFC 9000, section 16). */
export function varintLength(value: number): 1 | 2 | 4 | 8 {
  if (value < 0x40) return 1;
  if (value < 0x4000) return 2;
  return value < 0x4000_0000 ? 4 : 8;
}

/** `value` in its shortest form. Throws `RangeError` unless it is an integer. */
export function varint(value: number): Bytes {
  const length = varintLength(value);
  const bytes = new DataView(new ArrayBuffer(8));
  // The length goes into the two top bits.
  const top = BigInt(Math.log2(length)) << BigInt(8 * length - 2);
  bytes.setBigUint64(0, BigInt(value) | top);
  return new Uint8Array(bytes.buffer, 8 - length);
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
