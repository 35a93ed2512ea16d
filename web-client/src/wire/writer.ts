import type { Bytes } from "./bytes.js";
import { varintLength, writeVarint } from "./varint.js";

const encoder = new TextEncoder();

/** Text as UTF-8. */
export function utf8(text: string): Bytes {
  return encoder.encode(text);
}

/** Bytes that `bytes` takes with its length before it. */
export function prefixedLength(bytes: Uint8Array): number {
  return varintLength(bytes.length) + bytes.length;
}

/** Fills a buffer of exactly the size asked for. Writing beyond it throws `RangeError`. */
export class Writer {
  readonly #bytes: Bytes;
  readonly #view: DataView;
  #offset = 0;

  constructor(length: number) {
    this.#bytes = new Uint8Array(length);
    this.#view = new DataView(this.#bytes.buffer);
  }

  byte(value: number): void {
    this.#view.setUint8(this.#offset, value);
    this.#offset += 1;
  }

  varint(value: number): void {
    this.#offset = writeVarint(this.#view, this.#offset, value);
  }

  bytes(value: Uint8Array): void {
    this.#bytes.set(value, this.#offset);
    this.#offset += value.length;
  }

  /** Length, then the bytes. */
  prefixed(value: Uint8Array): void {
    this.varint(value.length);
    this.bytes(value);
  }

  /** The buffer. Throws unless it was filled to the last byte, so a wrong size computation cannot reach the wire. */
  finish(): Bytes {
    if (this.#offset !== this.#bytes.length) {
      throw new RangeError(`wrote ${this.#offset} of ${this.#bytes.length} bytes`);
    }
    return this.#bytes;
  }
}
