import { FrameError } from "../errors/frame-error.js";
import { readVarint } from "./varint.js";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 as text. Throws `FrameError` where it is not UTF-8. */
export function text(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new FrameError("text is not UTF-8");
  }
}

/** Reads through one frame's body. Everything throws `FrameError` where the body ends too early. */
export class Reader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  byte(): number {
    return this.bytes(1)[0] ?? 0;
  }

  varint(): number {
    const varint = readVarint(this.#bytes, this.#offset);
    if (varint === null) throw new FrameError("frame ends inside a varint");
    this.#offset += varint.length;
    return varint.value;
  }

  /** A view of the next `length` bytes, not a copy. */
  bytes(length: number): Uint8Array {
    if (length > this.remaining) throw new FrameError(`frame ends ${length - this.remaining} bytes too early`);
    const value = this.#bytes.subarray(this.#offset, this.#offset + length);
    this.#offset += length;
    return value;
  }

  prefixed(): Uint8Array {
    return this.bytes(this.varint());
  }

  string(): string {
    return text(this.prefixed());
  }

  /** Throws unless every byte has been read. */
  end(): void {
    if (this.remaining > 0) throw new FrameError(`${this.remaining} bytes too many in the frame`);
  }
}
