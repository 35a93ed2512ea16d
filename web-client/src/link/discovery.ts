import { DiscoveryError } from "../errors/discovery-error.js";
import { FrameError } from "../errors/frame-error.js";
import type { Bytes } from "../wire/bytes.js";
import { Members } from "../wire/members.js";
import { readText } from "./body.js";
import type { Exclusion } from "./browser.js";
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

const PATH = "/.well-known/tidegate";
const DOCUMENT_BYTES_MAX = 64 * 1024;
const VERSION = 1;
const LIMITS: Limits = {
  max_event_bytes: 256 * 1024,
  max_frame_bytes: 512 * 1024,
  max_batch_events: 1000,
  max_body_bytes: 4 * 1024 * 1024,
};

/** Asks the gateway at `endpoint`, whose path does not matter, for its document. Rejects with `DiscoveryError`, or as `fetch` does when aborted. */
export async function discover(endpoint: URL, signal: AbortSignal): Promise<Discovery> {
  const url = new URL(PATH, endpoint);
  let document: string;
  try {
    const response = await fetch(url, { signal, cache: "no-store", credentials: "omit", redirect: "manual" });
    if (!response.ok)
      throw new DiscoveryError(`${url} answered ${response.status || "with a redirect"}: ${advice(response)}`);
    document = await readText(response, DOCUMENT_BYTES_MAX);
  } catch (error) {
    if (signal.aborted || error instanceof DiscoveryError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new DiscoveryError(`${url} cannot be read: ${message}; is the gateway up, and its certificate trusted?`);
  }
  return parseDiscovery(document, url);
}

function advice({ status }: Response): string {
  return status < 500
    ? "the endpoint must be the gateway's own address, and a proxy before it must pass this path on"
    : "the gateway is not up, or not reached by the proxy before it";
}

/** Reads the document; relative URLs in it start at `base`. Throws `DiscoveryError`. */
export function parseDiscovery(document: string, base: URL): Discovery {
  try {
    const members = Members.parse(`discovery document of ${base}`, document);
    const version = members.integer("v");
    if (version !== VERSION) throw new DiscoveryError(`discovery document of version ${version}, expected ${VERSION}`);
    return {
      transports: members.list("transports").map((entry) => transport(entry, base)),
      certificateHashes: members.list("certificate_hashes").flatMap(certificateHash),
      limits: members.has("limits") ? limits(members.object("limits")) : LIMITS,
      exclude: members.list("exclude").map(exclusion),
    };
  } catch (error) {
    if (error instanceof FrameError) throw new DiscoveryError(`${error.message}: is the endpoint a gateway's?`);
    throw error;
  }
}

function transport(entry: Members, base: URL): Transport {
  const type = entry.string("type");
  const url = entry.string("url");
  if (!URL.canParse(url, base.href)) throw new DiscoveryError(`discovery document: not a URL: ${url.slice(0, 80)}`);
  return { type, url: new URL(url, base) };
}

function limits(members: Members): Limits {
  const limit = (name: keyof Limits) => (members.has(name) ? Math.max(1, members.integer(name)) : LIMITS[name]);
  return {
    max_event_bytes: limit("max_event_bytes"),
    max_frame_bytes: limit("max_frame_bytes"),
    max_batch_events: limit("max_batch_events"),
    max_body_bytes: limit("max_body_bytes"),
  };
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
