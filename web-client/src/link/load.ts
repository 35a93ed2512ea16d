import { Backoff, part, systemClock } from "../session/shared.js";
import type { Farewell } from "./farewell.js";
import type { Open } from "./link.js";
import { ask } from "./request.js";

/** HTTPS and the farewell, which share their requests: a file of its own. */
export interface Https {
  /** Opens sessions over plain requests, within the limits that the gateway tells. */
  open(limits: unknown): Open;
  /** The last word of one client. */
  farewell(fetcher: typeof fetch): Farewell;
}

let load: (() => Promise<typeof import("./https.js")>) | undefined;

/** Loads it, once. Where that fails the next call tries again. */
export async function loadHttps(): Promise<Https> {
  load ??= part("https", () => import("./https.js"));
  const { https, farewell } = await load();
  return {
    open: (limits) => async (url, signal) => {
      signal.throwIfAborted();
      return https(url, limits, { ask, clock: systemClock, backoff: new Backoff(Math.random) });
    },
    farewell: (fetcher) => farewell(ask, fetcher),
  };
}
