import { FrameError } from "../errors/frame-error.js";

/** Bytes that `value` takes as a varint (RFC 9000, section 16). Throws `RangeError` unless it is an integer in 0..2^53-1. */
export function varintLength(value: number): 1 | 2 | 4 | 8 {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an integer in 0..2^53-1: ${value}`);
  if (value < 0x40) return 1;
  if (value < 0x4000) return 2;
  return value < 0x4000_0000 ? 4 : 8;
}

/** Writes `value` at `offset` in its shortest form and returns the offset behind it. */
export function writeVarint(view: DataView, offset: number, value: number): number {
  const length = varintLength(value);
  if (length === 1) view.setUint8(offset, value);
  else if (length === 2) view.setUint16(offset, 0x4000 + value);
  else if (length === 4) view.setUint32(offset, 0x8000_0000 + value);
  else view.setBigUint64(offset, 0xc000_0000_0000_0000n + BigInt(value));
  return offset + length;
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
export function readVarint(view: DataView, offset: number): Varint | null {
  if (offset >= view.byteLength) return null;
  const first = view.getUint8(offset);
  const length = 1 << (first >> 6);
  if (offset + length > view.byteLength) return null;
  return { value: readLength(view, offset, length), length };
}

function readLength(view: DataView, offset: number, length: number): number {
  if (length === 1) return view.getUint8(offset) & 0x3f;
  if (length === 2) return view.getUint16(offset) & 0x3fff;
  if (length === 4) return view.getUint32(offset) & 0x3fff_ffff;
  const value = view.getBigUint64(offset) & 0x3fff_ffff_ffff_ffffn;
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new FrameError(`varint above 2^53-1: ${value}`);
  return Number(value);
}
