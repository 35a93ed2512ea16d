import type { Outbox } from "./outbox/outbox.js";

/** Somebody who waits for everything up to a number. */
interface Flush {
  /** `null`: there is none yet. */
  outbox: Outbox | null;
  epoch: number;
  upto: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Those who wait for what was sent so far, whatever is sent after. */
export class Flushes {
  #waiting: Flush[] = [];

  /** Resolves when what is in `outbox` now is settled; `null`: what will be in the first one when it is there. */
  wait(outbox: Outbox | null): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ outbox, epoch: outbox?.epoch ?? 0, upto: outbox?.last ?? 0, resolve, reject });
      this.look();
    });
  }

  /** This is what was waited for. */
  begin(outbox: Outbox): void {
    for (const flush of this.#waiting) flush.outbox ??= outbox;
    this.look();
  }

  /** To be called when something was settled or dropped. */
  look(): void {
    if (this.#waiting.length > 0) this.#waiting = this.#waiting.filter((flush) => !done(flush));
  }

  /** It cannot be known any more. */
  fail(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

function done(flush: Flush): boolean {
  const { outbox } = flush;
  if (!outbox) return false;
  if (outbox.epoch !== flush.epoch) {
    // Another numbering: everything in it was sent before, or may have been.
    flush.epoch = outbox.epoch;
    flush.upto = outbox.last;
  }
  const [oldest] = outbox.from(outbox.upto + 1);
  const over = outbox.length === 0 || (oldest !== undefined && oldest.seq > flush.upto);
  if (over) flush.resolve();
  return over;
}
