import { LinkError } from "../errors/link-error.js";

type Waiter<T> = { resolve(result: IteratorResult<T>): void; reject(error: unknown): void };

/** What arrived and was not taken yet, for one consumer. It is bounded: a carrier without backpressure must break, not grow. */
export class Inbox<T> implements AsyncIterableIterator<T> {
  readonly #capacity: number;
  readonly #items: { readonly item: T; readonly size: number }[] = [];
  #held = 0;
  #waiter: Waiter<T> | null = null;
  #end: { readonly error: unknown } | null = null;

  /** Holds items of `capacity` in all, in whatever unit `push` is told their sizes. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Hands over one item. Returns false, and fails the inbox, when it is full; nothing is taken after the end. */
  push(item: T, size = 1): boolean {
    if (this.#end) return false;
    if (this.#waiter) {
      this.#waiter.resolve({ done: false, value: item });
      this.#waiter = null;
      return true;
    }
    if (this.#held + size > this.#capacity) {
      this.end(new LinkError(`the gateway sends faster than its ${this.#items.length} last frames are read`));
      return false;
    }
    this.#items.push({ item, size });
    this.#held += size;
    return true;
  }

  /** Ends the iteration behind what was pushed: by throwing `error`, if there is one. Only the first end counts. */
  end(error?: unknown): void {
    if (this.#end) return;
    this.#end = { error };
    const waiter = this.#waiter;
    this.#waiter = null;
    if (error !== undefined) waiter?.reject(error);
    else waiter?.resolve({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<T>> {
    const first = this.#items.shift();
    if (first) {
      this.#held -= first.size;
      return Promise.resolve({ done: false, value: first.item });
    }
    if (this.#end?.error !== undefined) return Promise.reject(this.#end.error);
    if (this.#end) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
