import { DiscoveryError } from "../session/shared.js";
import { parse } from "../wire/parse.js";
import { DOCUMENT_BYTES_MAX, ROUTES_MAX } from "./bounds.js";
import { type Browser, browserOf, type Exclusion, isExcluded } from "./browser.js";
import type { Dial, Open, Route, TransportName } from "./link.js";
import { loadHttps } from "./load.js";
import { ask } from "./request.js";
import { webSocket } from "./websocket.js";
import { webTransport } from "./webtransport.js";

/** What the gateway says about itself to anybody who asks. */
interface Document {
  readonly v: number;
  /** In order of preference. */
  readonly transports?: readonly { readonly type: TransportName; readonly url: string }[] | null;
  /** Of development certificates only. */
  readonly certificate_hashes?: readonly { readonly algorithm: string; readonly value: string }[] | null;
  /** Read by the transport that has no WELCOME. */
  readonly limits?: unknown;
  /** Browsers that should not use a transport. */
  readonly exclude?: readonly Exclusion[] | null;
}

const PATH = "/.well-known/tidegate";

/**
 * Asks the gateway at `endpoint`, whose path does not matter, each time, since its certificate may have changed. `only`: the transports
 * the application allows, default all. Keeps the last good answer and uses it where there is none.
 */
export function dialer(endpoint: URL, only?: readonly TransportName[]): Dial {
  const url = new URL(PATH, endpoint);
  let last: readonly Route[] | null = null;
  return async (signal) => {
    let retryMs: number | null = null;
    try {
      const { status, body, retryAfter } = await ask(url, { signal }, DOCUMENT_BYTES_MAX);
      retryMs = Number(retryAfter) * 1_000 || null;
      if (status !== 200) throw new Error(`answered ${status || "with a redirect"}`);
      last = routes(body, url, only);
    } catch (error) {
      const advice = "is that the gateway's own address, is it up, and its certificate trusted?";
      if (!last) throw new DiscoveryError(`${url}: ${(error as Error).message}; ${advice}`, retryMs);
    }
    return last;
  };
}

/**
 * The transports of a discovery document that this environment has, in the gateway's order, without those that the gateway excludes this
 * browser from; where that leaves nothing, exclusions do not count. Relative URLs start at `base`. Throws when there is none.
 */
export function routes(
  json: string,
  base: URL,
  only?: readonly TransportName[],
  browser: Browser | null = browserOf(globalThis.navigator?.userAgent ?? ""),
): readonly Route[] {
  const document = parse<Document>("document", json, "v");
  const { v, transports, exclude } = document;
  if (v !== 1) throw new Error(`document of version ${v}, expected 1`);
  const offered = transports ?? [];
  const found = offered.flatMap(({ type: transport, url }): Route[] => {
    const open = (only?.includes(transport) ?? true) && opener(transport, document);
    return open ? [{ transport, url: new URL(url, base), open }] : [];
  });
  if (found.length === 0) {
    const types = offered.map(({ type }) => type);
    throw new Error(`no transport: the gateway offers ${types}, the application allows ${only ?? "all"}`);
  }
  const welcome = found.filter(({ transport }) => !isExcluded(exclude ?? [], transport, browser));
  return (welcome.length > 0 ? welcome : found).slice(0, ROUTES_MAX);
}

/** Nothing where this environment does not have the transport. */
function opener(transport: TransportName, { certificate_hashes, limits }: Document): Open | undefined {
  if (transport === "webtransport" && globalThis.WebTransport) {
    // Browsers know SHA-256 alone; hashes of other algorithms are left to clients that can use them.
    const hashes = (certificate_hashes ?? []).filter(({ algorithm }) => algorithm === "sha-256");
    return webTransport(hashes.map(({ value }) => Uint8Array.from(atob(value), (byte) => byte.charCodeAt(0))));
  }
  if (transport === "websocket" && globalThis.WebSocket) return webSocket;
  if (transport === "https") return async (url, signal) => (await loadHttps()).open(limits)(url, signal);
  return undefined;
}
