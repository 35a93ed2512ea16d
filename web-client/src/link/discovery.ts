import { DiscoveryError } from "../errors/discovery-error.js";
import { type Check, integer, listOf, optional, parse, string } from "../wire/shape.js";
import type { Exclusion } from "./browser.js";
import { ask } from "./request.js";
import type { CertificateHash } from "./webtransport.js";

/** One way into the gateway. */
export interface Transport {
  /** `webtransport`, `websocket`, `quic`, `https`, or one of a later version. */
  readonly type: string;
  readonly url: URL;
}

/** What the gateway takes, in bytes and events. */
export interface Limits {
  readonly max_event_bytes: number;
  readonly max_frame_bytes: number;
  readonly max_batch_events: number;
  /** Of an HTTP request. */
  readonly max_body_bytes: number;
}

/** What the gateway says about itself to anybody who asks. */
export interface Discovery {
  /** In order of preference. */
  readonly transports: readonly Transport[];
  /** Of development certificates only. */
  readonly certificateHashes: readonly CertificateHash[];
  /** Those that are not told are the protocol's defaults. */
  readonly limits: Limits;
  /** Browsers that should not use a transport. */
  readonly exclude: readonly Exclusion[];
}

/** The document as it is written. */
interface Document {
  readonly transports?: readonly { readonly type: string; readonly url: string }[] | null;
  readonly certificate_hashes?: readonly { readonly algorithm: string; readonly value: string }[] | null;
  readonly limits?: Partial<Limits> | null;
  readonly exclude?: readonly Exclusion[] | null;
}

const PATH = "/.well-known/tidegate";
const DOCUMENT_BYTES_MAX = 64 * 1024;

const LIMITS: Limits = {
  max_event_bytes: 256 * 1024,
  max_frame_bytes: 512 * 1024,
  max_batch_events: 1000,
  max_body_bytes: 4 * 1024 * 1024,
};

/** Those that are told must be positive integers. */
const areLimits: Check = (value) => {
  const limits: Record<string, unknown> = { ...LIMITS, ...Object(value) };
  return Object.keys(LIMITS).every((name) => integer(limits[name]) && limits[name] !== 0);
};

const DOCUMENT = {
  v: (version: unknown) => version === 1,
  transports: optional(listOf({ type: string, url: string })),
  certificate_hashes: optional(listOf({ algorithm: string, value: string })),
  limits: areLimits,
  exclude: optional(listOf({ transport: string, browser: string, below: optional(string) })),
};

/** Asks the gateway at `endpoint`, whose path does not matter, for its document. Rejects with `DiscoveryError`, or as `fetch` does when aborted. */
export async function discover(endpoint: URL, signal: AbortSignal): Promise<Discovery> {
  const url = new URL(PATH, endpoint);
  try {
    const { status, body, retryAfter } = await ask(url, { signal }, DOCUMENT_BYTES_MAX);
    if (status === 200) return parseDiscovery(body, url);
    const advice =
      status < 500
        ? "the endpoint must be the gateway's own address, and a proxy before it must pass this path on"
        : "is the gateway up?";
    const message = `${url} answered ${status || "with a redirect"}: ${advice}`;
    throw new DiscoveryError(message, Number(retryAfter) * 1_000 || null);
  } catch (error) {
    if (signal.aborted || error instanceof DiscoveryError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new DiscoveryError(`${url} cannot be read: ${message}; is the gateway up, and its certificate trusted?`);
  }
}

/** Reads the document; relative URLs in it start at `base`. Throws `DiscoveryError`. */
export function parseDiscovery(document: string, base: URL): Discovery {
  try {
    const { transports, certificate_hashes, limits, exclude } = parse<Document>("document", document, DOCUMENT);
    return {
      transports: (transports ?? []).map(({ type, url }) => ({ type, url: new URL(url, base) })),
      // Browsers know SHA-256 alone; hashes of other algorithms are left to clients that can use them.
      certificateHashes: (certificate_hashes ?? [])
        .filter(({ algorithm }) => algorithm === "sha-256")
        .map(({ value }) => ({ algorithm: "sha-256", value: base64(value) })),
      limits: { ...LIMITS, ...limits },
      exclude: exclude ?? [],
    };
  } catch (error) {
    throw new DiscoveryError(`${base}: ${(error as Error).message}; is the endpoint a gateway's, of version 1?`);
  }
}

function base64(value: string): CertificateHash["value"] {
  return Uint8Array.from(atob(value), (character) => character.charCodeAt(0));
}
