import { DiscoveryError } from "../errors/discovery-error.js";
import { parse } from "../wire/shape.js";
import type { Exclusion } from "./browser.js";
import { ask } from "./request.js";
import type { CertificateHash } from "./webtransport.js";

/** One way into the gateway. */
export interface Transport {
  /** `webtransport`, `websocket`, `quic`, `https`, or one of a later version. */
  readonly type: string;
  readonly url: URL;
}

/** What the gateway says about itself to anybody who asks. */
export interface Discovery {
  /** In order of preference. */
  readonly transports: readonly Transport[];
  /** Of development certificates only. */
  readonly certificateHashes: readonly CertificateHash[];
  /** As they came: those that matter are read by the transport that has no WELCOME. */
  readonly limits: unknown;
  /** Browsers that should not use a transport. */
  readonly exclude: readonly Exclusion[];
}

/** The document as it is written. */
interface Document {
  readonly v: number;
  readonly transports?: readonly { readonly type: string; readonly url: string }[] | null;
  readonly certificate_hashes?: readonly { readonly algorithm: string; readonly value: string }[] | null;
  readonly limits?: unknown;
  readonly exclude?: readonly Exclusion[] | null;
}

const PATH = "/.well-known/tidegate";
const DOCUMENT_BYTES_MAX = 64 * 1024;

/** Asks the gateway at `endpoint`, whose path does not matter, for its document. Rejects with `DiscoveryError`, or as `fetch` does when aborted. */
export async function discover(endpoint: URL, signal: AbortSignal): Promise<Discovery> {
  const url = new URL(PATH, endpoint);
  let retryMs: number | null = null;
  try {
    const { status, body, retryAfter } = await ask(url, { signal }, DOCUMENT_BYTES_MAX);
    retryMs = Number(retryAfter) * 1_000 || null;
    if (status !== 200) throw new Error(`answered ${status || "with a redirect"}`);
    return parseDiscovery(body, url);
  } catch (error) {
    if (signal.aborted) throw error;
    const advice = "is that the gateway's own address, is it up, and its certificate trusted?";
    throw new DiscoveryError(`${url}: ${(error as Error).message}; ${advice}`, retryMs);
  }
}

/** Reads the document; relative URLs in it start at `base`. Throws where it is none. */
export function parseDiscovery(document: string, base: URL): Discovery {
  const { v, transports, certificate_hashes, limits, exclude } = parse<Document>("document", document, "v");
  if (v !== 1) throw new Error(`document of version ${v}, expected 1`);
  return {
    transports: (transports ?? []).map(({ type, url }) => ({ type, url: new URL(url, base) })),
    // Browsers know SHA-256 alone; hashes of other algorithms are left to clients that can use them.
    certificateHashes: (certificate_hashes ?? [])
      .filter(({ algorithm }) => algorithm === "sha-256")
      .map(({ value }) => ({ algorithm: "sha-256", value: base64(value) })),
    limits,
    exclude: [...(exclude ?? [])],
  };
}

function base64(value: string): CertificateHash["value"] {
  return Uint8Array.from(atob(value), (character) => character.charCodeAt(0));
}
