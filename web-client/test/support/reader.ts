import { FrameError } from "../../src/errors/frame-error.js";
import { readVarint } from "../../src/wire/varint.js";

/** Reads through `bytes`, piece by piece. Every piece throws `FrameError` where the bytes end too early. */
export interface Reader {
  byte(): number;
  varint(): number;
  /** Bytes with their length before them: a view, not a copy. */
  prefixed(): Uint8Array;
  /** Throws unless every byte has been read. */
  end(): void;
}

export function reader(bytes: Uint8Array): Reader {
  let offset = 0;
  const require = (good: boolean) => {
    if (!good) throw new FrameError("a length in the frame is wrong");
  };
  const take = (length: number) => {
    offset += length;
    require(offset <= bytes.length);
    return bytes.subarray(offset - length, offset);
  };
  const varint = () => {
    const { value, length } = readVarint(bytes.subarray(offset)) ?? { value: 0, length: Number.MAX_SAFE_INTEGER };
    take(length);
    return value;
  };
  return {
    byte: () => take(1)[0] ?? 0,
    varint,
    prefixed: () => take(varint()),
    end: () => require(offset === bytes.length),
  };
}
