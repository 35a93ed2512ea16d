import { LinkError } from "../errors/link-error.js";

/** What arrived and was not taken yet, for one consumer. It is bounded: a carrier without backpressure must break, not grow. */
export class Inbox<T> implements AsyncIterableIterator<T> {
  readonly #items: { readonly item: T; readonly size: number }[] = [];
  #room: number;
  #end: { readonly error: unknown } | null = null;
  #wake = () => {};

  /** Holds items of `capacity` in all, in whatever unit `push` is told their sizes. */
  constructor(capacity: number) {
    this.#room = capacity;
  }

  /** Hands over one item. Returns false, and fails the inbox, when it is full; nothing is taken after the end. */
  push(item: T, size = 1): boolean {
    if (size > this.#room) this.end(new LinkError("the gateway sends faster than it is read"));
    if (this.#end) return false;
    this.#room -= size;
    this.#items.push({ item, size });
    this.#wake();
    return true;
  }

  /** Ends the iteration behind what was pushed: by throwing `error`, if there is one. Only the first end counts. */
  end(error?: unknown): void {
    this.#end ??= { error };
    this.#wake();
  }

  async next(): Promise<IteratorResult<T>> {
    for (;;) {
      const first = this.#items.shift();
      if (first) {
        this.#room += first.size;
        return { done: false, value: first.item };
      }
      if (this.#end?.error !== undefined) throw this.#end.error;
      if (this.#end) return { done: true, value: undefined };
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
