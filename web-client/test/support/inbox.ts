/** What came and was not taken yet, for one consumer. */
export class Inbox<T> implements AsyncIterableIterator<T> {
  readonly #items: T[] = [];
  #end: { readonly error: unknown } | null = null;
  #wake = () => {};

  /** Nothing is taken after the end. */
  push(item: T): void {
    if (!this.#end) this.#items.push(item);
    this.#wake();
  }

  /** Ends the iteration behind what was pushed: by throwing `error`, if there is one. Only the first end counts. */
  end(error?: unknown): void {
    this.#end ??= { error };
    this.#wake();
  }

  async next(): Promise<IteratorResult<T>> {
    for (;;) {
      if (this.#items.length > 0) return { done: false, value: this.#items.shift() as T };
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

/** Hands over what comes, to the end; then calls `close`, however it ends. */
export async function hand<T>(inbox: Inbox<T>, receive: (item: T) => void, close: () => void): Promise<void> {
  try {
    for await (const item of inbox) receive(item);
  } finally {
    close();
  }
}
