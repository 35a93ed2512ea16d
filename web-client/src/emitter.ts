/** Calls listeners by name. One that throws is reported as uncaught, and keeps nobody from anything. */
export class Emitter<Events> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();

  /** Calls `listener` until the returned function is called. */
  on<K extends keyof Events>(name: K, listener: (event: Events[K]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    // The same function twice is two listeners.
    const own = (event: Events[K]) => listener(event);
    listeners.add(own);
    return () => listeners.delete(own);
  }

  /** Tells all who listen; a function makes the event only where somebody does. */
  emit<K extends keyof Events>(name: K, event: Events[K] | (() => Events[K])): void {
    const listeners = this.#listeners.get(name);
    if (!listeners?.size) return;
    const told = (typeof event === "function" ? (event as () => Events[K])() : event) as never;
    for (const listener of [...listeners]) {
      try {
        listener(told);
      } catch (error) {
        reportUncaught(error);
      }
    }
  }
}

/** Tells the environment of an error that nobody catches, without ending anything. */
export function reportUncaught(error: unknown): void {
  if (typeof reportError === "function") reportError(error);
  // biome-ignore lint/suspicious/noConsole: where nothing catches errors this is the place for them
  else console.error(error);
}
