/** What is broken between this page and the gateway. */
export interface Broken {
  readonly webtransport: boolean;
  readonly websocket: boolean;
  readonly offline: boolean;
  readonly acknowledgements: boolean;
}

/** What can be broken, by the name of its switch. */
export type Fault = keyof Broken;

/**
 * The line that everything the client opens goes through: what is broken on it, and who waits for it to be whole again.
 * The client knows nothing of it.
 */
export class Line {
  readonly #broken = { webtransport: false, websocket: false, offline: false, acknowledgements: false };
  readonly #changed = new Set<() => void>();

  get broken(): Broken {
    return this.#broken;
  }

  /** Breaks or mends; true: broken. */
  set(fault: Fault, broken: boolean): void {
    if (this.#broken[fault] === broken) return;
    this.#broken[fault] = broken;
    for (const changed of [...this.#changed]) changed();
  }

  /** Calls `changed` after each change, until the returned function is called. */
  watch(changed: () => void): () => void {
    this.#changed.add(changed);
    return () => this.#changed.delete(changed);
  }

  /** Resolves once `holds`, at once if it does now. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!holds()) return;
        unwatch();
        resolve();
      };
      const unwatch = this.watch(look);
      look();
    });
  }

  /** Everybody looks again: something beside the switches has changed. */
  look(): void {
    for (const changed of [...this.#changed]) changed();
  }
}
