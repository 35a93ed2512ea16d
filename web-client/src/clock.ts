/** Time as an argument, so that tests own it. */
export interface Clock {
  /** Milliseconds that only rise, from any start. */
  now(): number;
  /** Calls `run` once after `delayMs`, unless the returned function is called before. */
  after(delayMs: number, run: () => void): () => void;
}

/** The real one. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};
