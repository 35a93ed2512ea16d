import { FrameError } from "../session/shared.js";
import type { Bytes } from "./bytes.js";

/** Bytes that `value`, an integer in 0..2^53-1, takes as a varint (RFC 9000, section 16). */
export function varintLength(value: number): 1 | 2 | 4 | 8 {
  if (value < 0x40) return 1;
  if (value < 0x4000) return 2;
  return value < 0x4000_0000 ? 4 : 8;
}

/** `value` in its shortest form. */
export function varint(value: number): Bytes {
  const bytes = new Uint8Array(varintLength(value));
  writeVarint(bytes, bytes.length, value);
  return bytes;
}

/** Writes `value` in its shortest form into `bytes`, where it ends before `end`. */
export function writeVarint(bytes: Uint8Array, end: number, value: number): void {
  const length = varintLength(value);
  const start = end - length;
  let rest = value;
  for (let index = end - 1; index >= start; index -= 1) {
    bytes[index] = rest;
    rest = Math.floor(rest / 256);
  }
  // The length goes into the two top bits.
  bytes[start] = (bytes[start] ?? 0) | (Math.log2(length) << 6);
}

/** A varint and how many bytes it took. */
export interface Varint {
  readonly value: number;
  readonly length: number;
}

/**
 * Reads the varint at the head of `bytes`; `null` while some of its bytes are missing. Longer forms than needed are accepted, as RFC
 * 9000 has it. Throws `FrameError` above 2^53-1, which no number of the protocol exceeds.
 */
export function readVarint(bytes: Uint8Array): Varint | null {
  const first = bytes[0] ?? 0;
  const length = 1 << (first >> 6);
  if (length > bytes.length) return null;
  let value = first & 0x3f;
  for (const byte of bytes.subarray(1, length)) value = value * 256 + byte;
  if (!Number.isSafeInteger(value)) throw new FrameError("varint above 2^53-1");
  return { value, length };
}
