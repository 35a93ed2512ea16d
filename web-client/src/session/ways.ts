import type { Link, Route } from "../link/link.js";
import { race } from "../link/race.js";
import { CloseCode } from "../wire/close-code.js";
import type { Ending } from "./connection.js";
import type { RunParts } from "./lane.js";
import { TidegateError } from "./shared.js";
import { OPEN_TIMEOUT_MS, STAGGER_MS } from "./timing.js";

/** The ways to the gateway: which there are, and which of them are open. One question at a time. */
export interface Ways {
  /** Those that were found last, best first. */
  readonly routes: readonly Route[];
  /** Asks the gateway, or the one that it sent us to. Rejects with `DiscoveryError`. */
  find(elsewhere?: string): Promise<readonly Route[]>;
  /** The first of them that opens. */
  open(routes: readonly Route[]): Promise<Link>;
  /** Browsers do not tell a page why no transport lets it in. The gateway does, where that is for the page's origin; else `null`. */
  foreign(): Promise<Ending | null>;
  /** Ends what is being asked or opened. */
  giveUp(): void;
}

/** Knows of none yet. Once all `isOver` nothing is asked any more. */
export function newWays(
  { settings, platform: { clock }, dial, isForeign, token }: RunParts,
  isOver: () => boolean,
): Ways {
  const usual = dial(settings.endpoint, settings.transports);
  let routes: readonly Route[] = [];
  let giveUp = () => {};

  /** Runs `work`, which must end when its signal is aborted: when it takes too long, or is given up. */
  const limited = <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    const controller = new AbortController();
    giveUp = () => controller.abort();
    if (isOver()) giveUp();
    const cancel = clock.after(OPEN_TIMEOUT_MS, giveUp);
    return work(controller.signal).finally(cancel);
  };

  return {
    get routes() {
      return routes;
    },
    find: async (elsewhere) => {
      routes = await limited(elsewhere ? dial(new URL(elsewhere), settings.transports) : usual);
      return routes;
    },
    open: (some) => limited((signal) => race(some, { clock, staggerMs: STAGGER_MS, signal })),
    foreign: async () => {
      const ask = (signal: AbortSignal) => isForeign(routes, token.current(), signal);
      if (isOver() || !(await limited(ask).catch(() => false))) return null;
      return { error: new TidegateError(`${globalThis.origin} is not allowed`), code: CloseCode.origin };
    },
    giveUp: () => giveUp(),
  };
}
