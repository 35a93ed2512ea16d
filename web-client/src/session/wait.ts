import type { Clock } from "../clock.js";

/** What may cut a wait short. */
export type Cause = "network" | "visible" | "token" | "stored";

/** One wait at a time. */
export interface Wait {
  /** Resolves after the time (`null`: any time), or when one of `causes`, names between blanks, happens. */
  until(delayMs: number | null, causes: string): Promise<void>;
  /** Something happens; nothing in particular: whatever is waited for is over. */
  wake(cause?: Cause): void;
}

/** Nobody waits yet. */
export function newWait(clock: Clock): Wait {
  let wake: Wait["wake"] = () => {};
  return {
    until: (delayMs, causes) =>
      new Promise((resolve) => {
        const done = () => {
          cancel();
          wake = () => {};
          resolve();
        };
        const cancel = delayMs === null ? () => {} : clock.after(delayMs, done);
        wake = (cause) => {
          if (!cause || causes.includes(cause)) done();
        };
      }),
    wake: (cause) => wake(cause),
  };
}
