import { DiscoveryError } from "../errors/discovery-error.js";
import { type Browser, isExcluded, thisBrowser } from "./browser.js";
import { type Discovery, discover } from "./discovery.js";
import type { Dial, Open, Route, TransportName } from "./link.js";
import { loadHttps } from "./load.js";
import { webSocket } from "./websocket.js";
import { webTransport } from "./webtransport.js";

/** More ways into one gateway than this are not tried. */
const ROUTES_MAX = 8;

/**
 * Asks the gateway at `endpoint` each time, since its certificate may have changed. `only`: the transports the application allows, default
 * all. Keeps the last good document and uses it where discovery fails.
 */
export function dialer(endpoint: URL, only?: readonly TransportName[]): Dial {
  let last: Discovery | null = null;
  return async (signal) => {
    try {
      last = await discover(endpoint, signal);
    } catch (error) {
      if (!last) throw error;
    }
    return routes(last, only);
  };
}

/**
 * The transports of `discovery` that this environment has, in the gateway's order, without those that the gateway excludes this browser
 * from; where that leaves nothing, exclusions do not count. Throws `DiscoveryError` when there is none.
 */
export function routes(
  discovery: Discovery,
  only?: readonly TransportName[],
  browser: Browser | null = thisBrowser(),
): readonly Route[] {
  const { transports, exclude } = discovery;
  const found = transports.flatMap(({ type, url }): Route[] => {
    const transport = type as TransportName;
    const open = opener(transport, discovery);
    return open && (only?.includes(transport) ?? true) ? [{ transport, url, open }] : [];
  });
  if (found.length === 0) {
    const offered = transports.map(({ type }) => type);
    throw new DiscoveryError(`no transport: the gateway offers ${offered}, the application allows ${only ?? "all"}`);
  }
  const welcome = found.filter(({ transport }) => !isExcluded(exclude, transport, browser));
  return (welcome.length > 0 ? welcome : found).slice(0, ROUTES_MAX);
}

/** Nothing where this environment does not have the transport. */
function opener(transport: TransportName, { certificateHashes, limits }: Discovery): Open | undefined {
  if (transport === "webtransport" && globalThis.WebTransport) return webTransport(certificateHashes);
  if (transport === "websocket" && globalThis.WebSocket) return webSocket;
  if (transport === "https") return async (url, signal) => (await loadHttps()).open(limits)(url, signal);
  return undefined;
}
