import { FrameSplitter } from "../../src/wire/splitter.js";
import { varint } from "../../src/wire/varint.js";

/** Type of the frame that acknowledges. */
const ACK = 0x04;
const FRAME_BYTES_MAX = 4 * 1024 * 1024;
/** Acknowledgements are cumulative: of many that are held back the newest say it all, but refusals are in the older ones. */
const HELD_MAX = 10_000;

/** Takes acknowledgements out of what the gateway says, and gives them back later. Everything else passes. */
export class AcknowledgementGate {
  readonly #splitter = new FrameSplitter(FRAME_BYTES_MAX);
  readonly #held: Uint8Array[] = [];

  /** What of `chunk`, and of what came before, may pass; `hold`: acknowledgements may not. */
  pass(chunk: Uint8Array, hold: boolean): Uint8Array {
    const passing: Uint8Array[] = hold ? [] : this.#held.splice(0);
    for (const { number, body } of this.#splitter.push(chunk)) {
      // Copied: the body is a view of a buffer that is used again.
      const frame = joined([Uint8Array.of(number), varint(body.length), body]);
      if (!hold || number !== ACK) passing.push(frame);
      else if (this.#held.length < HELD_MAX) this.#held.push(frame);
    }
    return joined(passing);
  }

  /** What was held back. */
  release(): Uint8Array {
    return joined(this.#held.splice(0));
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
