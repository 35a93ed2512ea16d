import { join } from "../../src/wire/join.js";
import { splitter } from "../../src/wire/split.js";
import { varint } from "../../src/wire/varint.js";

/** Type of the frame that acknowledges. */
const ACK = 0x04;
const FRAME_BYTES_MAX = 4 * 1024 * 1024;
/** Acknowledgements are cumulative: of many that are held back the newest say it all, but refusals are in the older ones. */
const HELD_MAX = 10_000;

/** Takes acknowledgements out of what the gateway says, and gives them back later. Everything else passes. */
export class AcknowledgementGate {
  readonly #held: Uint8Array[] = [];
  #passing: Uint8Array[] = [];
  #hold = false;
  readonly #split = splitter(FRAME_BYTES_MAX, (type, body) => {
    const frame = join([Uint8Array.of(type), varint(body.length), body]);
    if (!this.#hold || type !== ACK) this.#passing.push(frame);
    else if (this.#held.length < HELD_MAX) this.#held.push(frame);
  });

  /** What of `chunk`, and of what came before, may pass; `hold`: acknowledgements may not. */
  pass(chunk: Uint8Array, hold: boolean): Uint8Array {
    this.#hold = hold;
    this.#passing = hold ? [] : this.#held.splice(0);
    this.#split(chunk);
    return join(this.#passing);
  }

  /** What was held back. */
  release(): Uint8Array {
    return join(this.#held.splice(0));
  }
}
