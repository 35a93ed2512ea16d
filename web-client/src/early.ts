import type { Bytes } from "./wire/bytes.js";

interface Waiting {
  readonly payload: Bytes;
  readonly taken: (stored: Promise<void>) => void;
}

/** Events that come while there is no outbox: in order, and bounded. */
export class Early {
  readonly #bytesMax: number;
  #waiting: Waiting[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Payload bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves as `push` of the outbox that the event ends up in. The oldest make room, and are given to `dropped`. */
  push(payload: Bytes, dropped: (payloads: readonly Bytes[]) => void): Promise<void> {
    const promise = new Promise<void>((taken) => this.#waiting.push({ payload, taken }));
    this.#bytes += payload.length;
    const oldest: Bytes[] = [];
    while (this.#bytes > this.#bytesMax) {
      const first = this.#waiting.shift();
      if (!first) break;
      this.#bytes -= first.payload.length;
      oldest.push(first.payload);
      first.taken(Promise.resolve());
    }
    if (oldest.length > 0) dropped(oldest);
    return promise;
  }

  /** Hands everything to an outbox. */
  drain(push: (payload: Bytes) => Promise<void>): void {
    this.#bytes = 0;
    for (const { payload, taken } of this.#waiting.splice(0)) taken(push(payload));
  }
}
