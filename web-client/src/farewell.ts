import type { Outbox } from "./outbox/outbox.js";
import type { Bytes } from "./wire/bytes.js";
import type { Level } from "./wire/codes.js";

/** Browsers give all requests of a page that outlive it 64 KiB together. */
const BODY_BYTES_MAX = 60 * 1024;
const NEWLINE = 10;

/** The last word of a page: posts what no connection has taken, by requests that outlive the page. */
export class Farewell {
  readonly #fetch: typeof fetch;
  #bytesUnderWay = 0;

  constructor(fetcher: typeof fetch) {
    this.#fetch = fetcher;
  }

  /**
   * Posts events from the lowest unsettled number on, as many as there is room for, and returns the number of the last;
   * `null`: nothing was posted. An answer that the page lives to see counts as an acknowledgement, any other changes nothing.
   */
  post(url: URL, outbox: Outbox, token: string | undefined): number | null {
    // The gateway takes one request of a client at a time.
    if (this.#bytesUnderWay > 0) return null;
    const body = new Uint8Array(BODY_BYTES_MAX);
    let bytes = 0;
    let [first, next] = [0, 0];
    for (const { seq, payload } of outbox.from(outbox.upto + 1)) {
      if (bytes === 0) first = next = seq;
      // Numbers are told by counting lines, so a missing one ends the body.
      if (seq !== next || bytes + payload.length + 1 > BODY_BYTES_MAX) break;
      body.set(payload, bytes);
      bytes += payload.length + 1;
      body[bytes - 1] = NEWLINE;
      next += 1;
    }
    if (bytes === 0) return null;
    this.#bytesUnderWay = bytes;
    void this.#request(url, outbox, token, body.subarray(0, bytes), first, next - 1).finally(() => {
      this.#bytesUnderWay = 0;
    });
    return next - 1;
  }

  async #request(url: URL, outbox: Outbox, token: string | undefined, body: Bytes, first: number, last: number) {
    const { client, epoch } = outbox;
    try {
      const response = await this.#fetch(url, {
        method: "POST",
        keepalive: true,
        credentials: "omit",
        headers: {
          "content-type": "application/x-ndjson",
          "tidegate-client": client,
          "tidegate-epoch": String(epoch),
          "tidegate-seq": String(first),
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
        },
        body,
      });
      if (response.status !== 200 && response.status !== 422) return;
      const answer: Answer = await response.json();
      if (outbox.client !== client || outbox.epoch !== epoch || !Number.isSafeInteger(answer.upto)) return;
      for (const { index, code, message } of answer.rejected ?? []) {
        outbox.judge({ seq: first + index, code, refused: true, message: message ?? "" });
      }
      outbox.settle(Math.min(Number(answer.upto), last), answer.level === "stored" ? "stored" : "committed");
    } catch {
      // The events are still in the outbox.
    }
  }
}

/** What matters of the gateway's answer. */
interface Answer {
  readonly upto?: number;
  readonly level?: Level;
  readonly rejected?: readonly { readonly index: number; readonly code: string; readonly message?: string }[];
}
