interface Waiter {
  readonly ready: () => boolean;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/** Promises for conditions, looked at when told to. */
export class Waiters {
  readonly #waiting = new Set<Waiter>();

  /** Resolves as soon as `ready` holds, at once if it does; rejects with the signal's reason when that comes first. */
  wait(ready: () => boolean, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (ready()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const done = () => {
        this.#waiting.delete(waiter);
        signal?.removeEventListener("abort", abort);
      };
      const waiter: Waiter = {
        ready,
        resolve: () => {
          done();
          resolve();
        },
        reject: (reason) => {
          done();
          reject(reason);
        },
      };
      const abort = () => waiter.reject(signal?.reason);
      signal?.addEventListener("abort", abort);
      this.#waiting.add(waiter);
    });
  }

  /** Lets those go whose condition holds now. */
  look(): void {
    for (const waiter of this.#waiting) if (waiter.ready()) waiter.resolve();
  }

  /** Rejects all. */
  fail(reason: unknown): void {
    for (const waiter of this.#waiting) waiter.reject(reason);
  }
}
