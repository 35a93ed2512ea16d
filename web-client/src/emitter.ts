import { OptionError } from "./errors/option-error.js";

/** Calls listeners by name. One that throws is reported as uncaught, and keeps nobody from anything. */
export interface Emitter<Events> {
  /** Calls `listener` until the returned function is called. Throws `OptionError` for what never happens. */
  on<K extends keyof Events>(name: K, listener: (event: Events[K]) => void): () => void;
  /** Tells all who listen; `make` makes the event, only where somebody does. */
  emit<K extends keyof Events>(name: K, make: () => Events[K]): void;
}

/** Nobody listens yet. `names`: of all that is told. */
export function newEmitter<Events>(names: readonly (keyof Events)[]): Emitter<Events> {
  const listeners = new Set<{ readonly name: keyof Events; readonly listener: (event: never) => void }>();
  return {
    on: (name, listener) => {
      if (!names.includes(name)) {
        throw new OptionError(`on: no such event ${String(name)}; there are ${names.join(", ")}`);
      }
      // The same function twice is two listeners.
      const own = { name, listener };
      listeners.add(own);
      return () => void listeners.delete(own);
    },
    emit: (name, make) => {
      const called = [...listeners].filter((own) => own.name === name);
      const event = called.length > 0 && (make() as never);
      for (const { listener } of called) {
        try {
          listener(event as never);
        } catch (error) {
          reportUncaught(error);
        }
      }
    },
  };
}

/** Tells the environment of an error that nobody catches, without ending anything. */
export function reportUncaught(error: unknown): void {
  if (typeof reportError === "function") reportError(error);
  // biome-ignore lint/suspicious/noConsole: where nothing catches errors this is the place for them
  else console.error(error);
}
