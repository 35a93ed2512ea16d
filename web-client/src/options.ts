import { OptionError } from "./errors/option-error.js";
import type { TransportName } from "./link/link.js";
import type { OutboxLimits } from "./outbox/outbox.js";

/** What a token function gives: the token, and when it ends if that is known (Unix ms or a `Date`). */
export type TokenAnswer = string | { readonly token: string; readonly expiresAt: number | Date };

/** A token, or a function that gives a fresh one. */
export type Token = string | (() => TokenAnswer | Promise<TokenAnswer>);

/** What `connect` can be told. Everything may be left out. */
export interface Options {
  /**
   * Proves who sends; none by default. A function is called at the start, before its answer's `expiresAt` (after 80 % of the
   * token's life or 60 s before its end, whichever is earlier), and once when the gateway refuses a token. A plain string that
   * is refused stops the client until `authenticate`.
   */
  readonly token?: Token | undefined;
  /** First part of the names that the gateway knows this browser by, 1-64 of `A-Z a-z 0-9 . _ : -`. Default `web`. Tokens may be limited to it. */
  readonly name?: string | undefined;
  /**
   * Transports that may be used, any of `webtransport`, `websocket`, `https`. Default: all. Each one less is one way less around
   * a network that blocks something; without `https` there is no farewell either.
   */
  readonly transports?: readonly TransportName[] | undefined;
  /** Where events wait until they are settled. */
  readonly outbox?: OutboxOptions | undefined;
  /** How events are put together into frames. */
  readonly batch?: BatchOptions | undefined;
  /** Aborting it is `close()` without waiting: nothing more is sent, events stay in the outbox. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Whether a page that is left posts what it has not handed to a connection, with `fetch(keepalive)`, at most 60 KiB. Default
   * `true`. Without it those events wait for the next visit.
   */
  readonly farewell?: boolean | undefined;
}

/** Where events wait until they are settled. */
export interface OutboxOptions {
  /**
   * `auto`: IndexedDB where it works, so that events outlive the page; else memory. `memory`: events end with the page; nothing
   * is written to disk. Default `auto`.
   */
  readonly storage?: "auto" | "memory" | undefined;
  /** Bytes of events that may wait, 4096 to 2^30. Beyond it the oldest are dropped and reported. Default 5 MiB; costs that much memory too. */
  readonly maxBytes?: number | undefined;
  /** How long an event may wait, in ms, 1000 to 2^53-1. Older ones are dropped and reported. Default 48 h. */
  readonly maxAgeMs?: number | undefined;
  /** Name of the IndexedDB database. Default: one per gateway. Clients with the same one send for each other. */
  readonly database?: string | undefined;
}

/** How events are put together into frames. */
export interface BatchOptions {
  /** Events in a frame, 1-1000, and at most what the gateway allows. Default 1000. */
  readonly maxEvents?: number | undefined;
  /** Bytes of a frame, 1024 to 2 MiB, and at most what the gateway allows; a larger event goes alone. Default 64 KiB: acknowledgements come sooner with small frames. */
  readonly maxBytes?: number | undefined;
  /** How long an event waits for company, in ms, 0-1000. Default 5. That much is added to the latency of a lone event; less costs more frames. */
  readonly delayMs?: number | undefined;
}

/** Options checked, with every default filled in. */
export interface Settings {
  readonly endpoint: URL;
  readonly token: Token | undefined;
  readonly name: string;
  readonly transports: readonly TransportName[] | undefined;
  readonly storage: "auto" | "memory";
  readonly database: string;
  readonly limits: OutboxLimits;
  readonly batch: BatchSettings;
  readonly signal: AbortSignal | undefined;
  readonly farewell: boolean;
}

/** `BatchOptions` with defaults. */
export interface BatchSettings {
  readonly maxEvents: number;
  readonly maxBytes: number;
  readonly delayMs: number;
}

const TRANSPORTS: readonly unknown[] = ["webtransport", "websocket", "https"];
const HOUR_MS = 3_600_000;
const MIB = 1024 * 1024;

/** Checks everything that `connect` was given. Throws `OptionError`. */
export function settingsOf(url: string | URL, options: Options = {}): Settings {
  const endpoint = endpointOf(url);
  known("", options, ["token", "name", "transports", "outbox", "batch", "signal", "farewell"]);
  const { name = "web", transports, outbox = {}, batch = {}, signal, farewell = true } = options;
  known("outbox", outbox, ["storage", "maxBytes", "maxAgeMs", "database"]);
  known("batch", batch, ["maxEvents", "maxBytes", "delayMs"]);
  allow("name", name, "1-64 of A-Z a-z 0-9 . _ : -", typeof name === "string" && /^[\w.:-]{1,64}$/.test(name));
  allow(
    "transports",
    transports,
    `a list of at least one of ${TRANSPORTS.join(", ")}`,
    transports === undefined ||
      (Array.isArray(transports) && transports.length > 0 && transports.every((each) => TRANSPORTS.includes(each))),
  );
  const { storage = "auto", database = `tidegate:${endpoint.host}` } = outbox;
  allow("outbox.storage", storage, "auto or memory", storage === "auto" || storage === "memory");
  allow("outbox.database", database, "a name", typeof database === "string" && database !== "");
  allow("signal", signal, "an AbortSignal", signal === undefined || typeof signal?.addEventListener === "function");
  allow("farewell", farewell, "true or false", typeof farewell === "boolean");
  const bytes = integer("outbox.maxBytes", outbox.maxBytes, 5 * MIB, 4096, 1024 * MIB);
  return {
    endpoint,
    token: checkToken(options.token),
    name,
    transports,
    storage,
    database,
    limits: {
      bytes,
      roomBytes: bytes / 2,
      ageMs: integer("outbox.maxAgeMs", outbox.maxAgeMs, 48 * HOUR_MS, 1000, Number.MAX_SAFE_INTEGER),
    },
    batch: {
      maxEvents: integer("batch.maxEvents", batch.maxEvents, 1000, 1, 1000),
      maxBytes: integer("batch.maxBytes", batch.maxBytes, 64 * 1024, 1024, 2 * MIB),
      delayMs: integer("batch.delayMs", batch.delayMs, 5, 0, 1000),
    },
    signal,
    farewell,
  };
}

/** The token as it is. Throws `OptionError` where it is none. */
export function checkToken(token: unknown): Token | undefined {
  const good = token === undefined || typeof token === "function" || (typeof token === "string" && token !== "");
  allow("token", typeof token === "string" ? "" : token, "a string that is not empty, or a function", good);
  return token as Token | undefined;
}

function endpointOf(url: string | URL): URL {
  const base = (globalThis as { location?: { href: string } }).location?.href;
  const endpoint = URL.canParse(url, base) ? new URL(url, base) : null;
  allow("url", String(url), "an http: or https: URL of the gateway", /^https?:$/.test(endpoint?.protocol ?? ""));
  return endpoint as URL;
}

function integer(name: string, value: unknown, preset: number, min: number, max: number): number {
  if (value === undefined) return preset;
  allow(
    name,
    value,
    `an integer in ${min}..${max}`,
    Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max,
  );
  return value as number;
}

function known(name: string, value: unknown, members: readonly string[]): void {
  allow(name || "options", value, "an object", typeof value === "object" && value !== null);
  for (const member of Object.keys(value as object)) {
    const path = name ? `${name}.${member}` : member;
    if (!members.includes(member)) throw new OptionError(`${path}: no such option; there are ${members.join(", ")}`);
  }
}

function allow(name: string, value: unknown, allowed: string, good: boolean): void {
  if (good) return;
  let found: string | undefined;
  try {
    found = JSON.stringify(value);
  } catch {
    // Not something that JSON can show.
  }
  throw new OptionError(`${name}: expected ${allowed}, found ${(found ?? String(value)).slice(0, 80)}`);
}
