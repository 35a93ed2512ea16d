import { FrameError } from "../errors/frame-error.js";
import { readVarint } from "./varint.js";

/** Cuts a stream of bytes into whole frames. Holds at most one unfinished frame and the chunk it was given. */
export class FrameSplitter {
  readonly #frameBytesMax: number;
  /** Longer than what it holds, so that a frame that comes byte by byte is not copied as often. */
  #buffer = new Uint8Array(0);
  /** Bytes of a frame that has begun and is not whole yet. */
  unfinishedBytes = 0;

  /** A frame longer than `frameBytesMax`, with its type and length, is a `FrameError`. */
  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax;
  }

  /** The frames that `chunk` completes, in order, as views. They must be taken before another chunk comes. */
  *push(chunk: Uint8Array): Generator<Uint8Array, void> {
    const held = this.unfinishedBytes;
    const end = held + chunk.length;
    const before = this.#buffer;
    if (end > before.length) {
      this.#buffer = new Uint8Array(2 * end);
      this.#buffer.set(before.subarray(0, held));
    }
    this.#buffer.set(chunk, held);

    const bytes = this.#buffer.subarray(0, end);
    let offset = 0;
    for (let body = readVarint(bytes, 1); body; body = readVarint(bytes, offset + 1)) {
      const length = 1 + body.length + body.value;
      if (length > this.#frameBytesMax) throw new FrameError(`a frame of ${length} bytes`);
      if (offset + length > end) break;
      yield bytes.subarray(offset, offset + length);
      offset += length;
    }
    bytes.copyWithin(0, offset);
    this.unfinishedBytes = end - offset;
  }
}
