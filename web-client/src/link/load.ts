import { Backoff } from "../backoff.js";
import { systemClock } from "../clock.js";
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

/** Loads it, once. Where that fails the next call tries again; in Safari it does so only after the page was loaded anew. */
export async function loadHttps(): Promise<Https> {
  const { https, farewell } = await import("./https.js").catch((error: Error) => {
    // Until 2026 browsers remembered a file that could not be had, and asked for it no more: then it is asked for by another address.
    const url = /https?:\S+/.exec(error.message)?.[0];
    if (!url) throw error;
    return import(/* webpackIgnore: true */ /* @vite-ignore */ `${url}?${Date.now()}`);
  });
  return {
    open: (limits) => async (url, signal) => {
      signal.throwIfAborted();
      return https(url, limits, { ask, clock: systemClock, backoff: new Backoff(Math.random) });
    },
    farewell: (fetcher) => farewell(ask, fetcher),
  };
}
