import type { Clock } from "../../src/clock.js";

/** Time that passes when told to. */
export class FakeClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly run: () => void }>();

  now(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.#now + delayMs, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that are set and have not fired. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Ms until the next timer fires; `Infinity` where none is set. */
  get dueIn(): number {
    return Math.min(...[...this.#timers].map(({ at }) => at - this.#now));
  }

  /** The device sleeps, or the browser holds timers back: `ms` pass in which none fires, then those that are due. */
  async sleep(ms: number): Promise<void> {
    await idle();
    this.#now += ms;
    await this.advance(0);
  }

  /** Lets everything under way finish, then `ms` pass, timer by timer, each followed by what it sets off. */
  async advance(ms: number): Promise<void> {
    await idle();
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.run();
      await idle();
    }
    this.#now = end;
    await idle();
  }
}

/** Resolves when every promise that could run has run. */
export function idle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
