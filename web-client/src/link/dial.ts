import { DiscoveryError } from "../errors/discovery-error.js";
import { type Browser, isExcluded, thisBrowser } from "./browser.js";
import { type Discovery, discover } from "./discovery.js";
import type { Dial, Route, TransportName } from "./link.js";
import { webSocket } from "./websocket.js";
import { hasWebTransport, webTransport } from "./webtransport.js";

/** Asks the gateway at `endpoint` each time, since its certificate may have changed. `only` forces one transport. */
export function dialer(endpoint: URL, only?: readonly TransportName[]): Dial {
  return async (signal) => routes(await discover(endpoint, signal), only);
}

/**
 * The transports of `discovery` that this browser speaks, in the gateway's order, without those that the gateway excludes it
 * from. `only` stands above exclusions. Throws `DiscoveryError` when there is none.
 */
export function routes(
  { transports, certificateHashes, exclude }: Discovery,
  only?: readonly TransportName[],
  browser: Browser | null = thisBrowser(),
): readonly Route[] {
  const found = transports.flatMap(({ type, url }): Route[] => {
    if (only === undefined ? isExcluded(exclude, type, browser) : !only.includes(type as TransportName)) return [];
    if (type === "websocket") return [{ transport: type, url, open: webSocket() }];
    if (type !== "webtransport" || !hasWebTransport()) return [];
    return [{ transport: type, url, open: webTransport(certificateHashes) }];
  });
  if (found.length === 0) {
    const offered = transports.map(({ type }) => type).join(", ") || "nothing";
    throw new DiscoveryError(
      `the gateway offers ${offered}; this browser needs ${only?.join(" or ") ?? "webtransport or websocket"}`,
    );
  }
  return found;
}
