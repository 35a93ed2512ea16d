import { DiscoveryError } from "../errors/discovery-error.js";
import { FrameError } from "../errors/frame-error.js";
import type { Bytes } from "../wire/bytes.js";
import { Members } from "../wire/members.js";
import type { Exclusion } from "./browser.js";
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
  /** Browsers that should not use a transport. */
  readonly exclude: readonly Exclusion[];
}

const PATH = "/.well-known/tidegate";
const DOCUMENT_BYTES_MAX = 64 * 1024;
const VERSION = 1;

/** Asks the gateway at `endpoint`, whose path does not matter. Rejects with `DiscoveryError`, or as `fetch` does when aborted. */
export async function discover(endpoint: URL, signal: AbortSignal): Promise<Discovery> {
  const url = new URL(PATH, endpoint);
  return parseDiscovery(await load(url, signal), url);
}

/** Reads the document; relative URLs in it start at `base`. Throws `DiscoveryError`. */
export function parseDiscovery(document: Uint8Array, base: URL): Discovery {
  try {
    const members = Members.parse("discovery document", document);
    const version = members.integer("v");
    if (version !== VERSION) throw new DiscoveryError(`discovery document of version ${version}, expected ${VERSION}`);
    return {
      transports: members.list("transports").map((entry) => transport(entry, base)),
      certificateHashes: members.list("certificate_hashes").flatMap(certificateHash),
      exclude: members.list("exclude").map(exclusion),
    };
  } catch (error) {
    if (error instanceof FrameError) throw new DiscoveryError(error.message);
    throw error;
  }
}

async function load(url: URL, signal: AbortSignal): Promise<Bytes> {
  let document: Bytes;
  try {
    const response = await fetch(url, { signal, cache: "no-store", credentials: "omit" });
    if (!response.ok) throw new DiscoveryError(`${url.href} answered ${response.status}`);
    document = new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    if (signal.aborted || error instanceof DiscoveryError) throw error;
    throw new DiscoveryError(`cannot reach ${url.href}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (document.length > DOCUMENT_BYTES_MAX) {
    throw new DiscoveryError(`${url.href} answered ${document.length} bytes, at most ${DOCUMENT_BYTES_MAX}`);
  }
  return document;
}

function transport(entry: Members, base: URL): Transport {
  const type = entry.string("type");
  const url = entry.string("url");
  if (!URL.canParse(url, base.href)) throw new DiscoveryError(`discovery document: not a URL: ${url.slice(0, 80)}`);
  return { type, url: new URL(url, base) };
}

function exclusion(entry: Members): Exclusion {
  return {
    transport: entry.string("transport"),
    browser: entry.string("browser"),
    below: entry.has("below") ? entry.string("below") : null,
  };
}

/** Browsers know SHA-256 alone; hashes of other algorithms are left to clients that can use them. */
function certificateHash(entry: Members): CertificateHash[] {
  if (entry.string("algorithm") !== "sha-256") return [];
  return [{ algorithm: "sha-256", value: base64(entry.string("value")) }];
}

function base64(value: string): Bytes {
  try {
    return Uint8Array.from(atob(value), (character) => character.charCodeAt(0));
  } catch {
    throw new DiscoveryError(`discovery document: not base64: ${value.slice(0, 80)}`);
  }
}
