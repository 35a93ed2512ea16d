/** What one connection may still send. Both limits are absolute and never fall. */
export class Credit {
  #limit: number;
  #limitBytes: number;
  #spentBytes = 0;

  /** `limit` is the highest number, `limitBytes` the sum of payload bytes since the connection began. */
  constructor(limit: number, limitBytes: number) {
    this.#limit = limit;
    this.#limitBytes = limitBytes;
  }

  /** Takes over newer limits; lower ones than before change nothing. */
  extend(limit: number, limitBytes: number): void {
    this.#limit = Math.max(this.#limit, limit);
    this.#limitBytes = Math.max(this.#limitBytes, limitBytes);
  }

  /** Whether number `seq` may go out when `bytes` of payload, it included, have not been spent yet. */
  covers(seq: number, bytes: number): boolean {
    return seq <= this.#limit && this.#spentBytes + bytes <= this.#limitBytes;
  }

  /** Counts payload bytes that were sent. */
  spend(bytes: number): void {
    this.#spentBytes += bytes;
  }
}
