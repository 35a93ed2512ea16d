import { LinkError } from "./errors/link-error.js";

type Waiter<T> = { resolve(result: IteratorResult<T>): void; reject(error: unknown): void };

/** What arrived and was not taken yet, for one consumer. It is bounded: a carrier without backpressure must break, not grow. */
export class Inbox<T> implements AsyncIterableIterator<T> {
  readonly #capacity: number;
  readonly #items: T[] = [];
  #waiter: Waiter<T> | null = null;
  #end: { readonly error: unknown } | null = null;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Hands over one item. Returns false, and fails the inbox, when it is full; nothing is taken after the end. */
  push(item: T): boolean {
    if (this.#end) return false;
    if (this.#waiter) {
      this.#waiter.resolve({ done: false, value: item });
      this.#waiter = null;
      return true;
    }
    if (this.#items.length >= this.#capacity) {
      this.end(new LinkError(`more than ${this.#capacity} unread frames`));
      return false;
    }
    this.#items.push(item);
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
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve({ done: false, value: item });
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
