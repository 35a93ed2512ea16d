import { type Browser, isExcluded, thisBrowser } from "./browser.js";
import { type Discovery, discover } from "./discovery.js";
import { DiscoveryError } from "./errors/discovery-error.js";
import type { Open, TransportName } from "./link.js";
import { webSocket } from "./websocket.js";
import { hasWebTransport, webTransport } from "./webtransport.js";

/** One transport worth trying. */
export interface Route {
  readonly transport: TransportName;
  readonly url: URL;
  readonly open: Open;
}

/** Finds out which transports to try, best first; never an empty list. Rejects with `DiscoveryError`. */
export type Dial = (signal: AbortSignal) => Promise<readonly Route[]>;

/** Asks the gateway at `endpoint` each time, since its certificate may have changed. `only` forces one transport. */
export function dialer(endpoint: URL, only?: TransportName): Dial {
  return async (signal) => routes(await discover(endpoint, signal), only);
}

/**
 * The transports of `discovery` that this browser speaks, in the gateway's order, without those that the gateway excludes it
 * from. `only` stands above exclusions. Throws `DiscoveryError` when there is none.
 */
export function routes(
  { transports, certificateHashes, exclude }: Discovery,
  only?: TransportName,
  browser: Browser | null = thisBrowser(),
): readonly Route[] {
  const found = transports.flatMap(({ type, url }): Route[] => {
    if (only === undefined ? isExcluded(exclude, type, browser) : type !== only) return [];
    if (type === "websocket") return [{ transport: type, url, open: webSocket() }];
    if (type !== "webtransport" || !hasWebTransport()) return [];
    return [{ transport: type, url, open: webTransport(certificateHashes) }];
  });
  if (found.length === 0) {
    const offered = transports.map(({ type }) => type).join(", ") || "nothing";
    throw new DiscoveryError(
      `the gateway offers ${offered}; this browser needs ${only ?? "webtransport or websocket"}`,
    );
  }
  return found;
}
