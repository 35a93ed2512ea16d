import type { Outbox } from "./outbox/outbox.js";

/** Those who wait for everything that was sent before. */
export interface Flushes {
  /** Resolves when everything that is in `outbox` now is settled or given up. */
  add(outbox: Outbox): Promise<void>;
  /** Events of `outbox`, which may be another one than before, were settled or given up, or numbered anew. */
  look(outbox: Outbox): void;
  /** Nobody can know any more. */
  fail(error: Error): void;
}

/** Nobody waits yet. */
export function newFlushes(): Flushes {
  const all = new Set<{
    epoch: number;
    upto: number;
    readonly resolve: () => void;
    readonly reject: (error: Error) => void;
  }>();

  const look = ({ epoch, first, last }: Outbox) => {
    for (const flush of all) {
      // Another numbering: everything in it was sent before, or may have been.
      if (flush.epoch !== epoch) Object.assign(flush, { epoch, upto: last });
      if (first <= flush.upto) continue;
      all.delete(flush);
      flush.resolve();
    }
  };
  return {
    add: (outbox) =>
      new Promise((resolve, reject) => {
        all.add({ epoch: outbox.epoch, upto: outbox.last, resolve, reject });
        look(outbox);
      }),
    look,
    fail: (error) => {
      for (const { reject } of all) reject(error);
      all.clear();
    },
  };
}
