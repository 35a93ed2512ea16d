import { FrameError } from "../errors/frame-error.js";
import { readVarint } from "./varint.js";
import { join } from "./writer.js";

const NO_BYTES = new Uint8Array(0);
/** More chunks than this are joined, so that a frame that comes byte by byte takes about as much memory as it is long. */
const CHUNKS_MAX = 1024;

/** Cuts a stream of bytes into whole frames. Holds at most one unfinished frame and the chunk it was given. */
export class FrameSplitter {
  readonly #frameBytesMax: number;
  #chunks: Uint8Array[] = [];
  #held = 0;
  /** Held bytes below this cannot finish a frame, so they are not looked at. */
  #wanted = 0;

  /** A frame longer than `frameBytesMax`, with its type and length, is a `FrameError`. */
  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax;
  }

  /** Bytes of a frame that has begun and is not whole yet. */
  get unfinishedBytes(): number {
    return this.#held;
  }

  /** The frames that `chunk` completes, in order. Frames may be views of the chunk. */
  push(chunk: Uint8Array): Uint8Array[] {
    if (chunk.length === 0) return [];
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    if (this.#held < this.#wanted) {
      if (this.#chunks.length > CHUNKS_MAX) this.#chunks = [join(this.#chunks)];
      return [];
    }

    const [first = NO_BYTES] = this.#chunks;
    const bytes = this.#chunks.length > 1 ? join(this.#chunks) : first;
    const frames: Uint8Array[] = [];
    let offset = 0;
    for (;;) {
      const length = this.#frameLength(bytes, offset);
      this.#wanted = length ?? bytes.length - offset + 1;
      if (length === null || offset + length > bytes.length) break;
      frames.push(bytes.subarray(offset, offset + length));
      offset += length;
    }
    this.#keep(bytes.subarray(offset));
    return frames;
  }

  /** Length of the frame at `offset` with its type and length, `null` while that cannot be known. */
  #frameLength(bytes: Uint8Array, offset: number): number | null {
    const body = readVarint(bytes, offset + 1);
    if (body === null) return null;
    const length = 1 + body.length + body.value;
    if (length > this.#frameBytesMax) throw new FrameError(`frame of ${length} bytes, at most ${this.#frameBytesMax}`);
    return length;
  }

  #keep(rest: Uint8Array): void {
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#held = rest.length;
  }
}
