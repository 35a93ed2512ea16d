import { OptionError } from "./errors/option-error.js";
import type { TransportName } from "./link/link.js";
import type { OutboxLimits } from "./outbox/outbox.js";
import { boolean, type Check, string } from "./wire/shape.js";

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

/** An option: its default, and what is allowed, in words and as a check. */
type Rule = readonly [preset: unknown, allowed: string, check: Check];

const HOUR_MS = 3_600_000;
const MIB = 1024 * 1024;

const TOKEN: Rule = [
  undefined,
  "a string that is not empty, or a function",
  (value) => typeof value === "function" || isName(value),
];
const OBJECT: Rule = [{}, "an object", (value) => typeof value === "object" && value !== null];

const OPTIONS: Readonly<Record<keyof Options, Rule>> = {
  token: TOKEN,
  name: ["web", "1-64 of A-Z a-z 0-9 . _ : -", (value) => string(value) && /^[\w.:-]{1,64}$/.test(value as string)],
  transports: [undefined, "a list of at least one of webtransport, websocket, https", isTransports],
  outbox: OBJECT,
  batch: OBJECT,
  signal: [undefined, "an AbortSignal", (value) => typeof Object(value).addEventListener === "function"],
  farewell: [true, "true or false", boolean],
};

const OUTBOX: Readonly<Record<keyof OutboxOptions, Rule>> = {
  storage: ["auto", "auto or memory", (value) => value === "auto" || value === "memory"],
  maxBytes: integer(5 * MIB, 4096, 1024 * MIB),
  maxAgeMs: integer(48 * HOUR_MS, 1000, Number.MAX_SAFE_INTEGER),
  database: [undefined, "a name", isName],
};

const BATCH: Readonly<Record<keyof BatchOptions, Rule>> = {
  maxEvents: integer(1000, 1, 1000),
  maxBytes: integer(64 * 1024, 1024, 2 * MIB),
  delayMs: integer(5, 0, 1000),
};

/** Checks everything that `connect` was given. Throws `OptionError`. */
export function settingsOf(url: string | URL, options: Options = {}): Settings {
  const endpoint = endpointOf(url);
  const { token, name, transports, outbox, batch, signal, farewell } = members("", options, OPTIONS);
  const { storage, maxBytes = 0, maxAgeMs, database } = members("outbox.", outbox, OUTBOX);
  return {
    endpoint,
    token,
    name,
    transports,
    storage,
    database: database ?? `tidegate:${endpoint.host}`,
    limits: { bytes: maxBytes, roomBytes: maxBytes / 2, ageMs: maxAgeMs },
    batch: members("batch.", batch, BATCH) as BatchSettings,
    signal,
    farewell,
  } as Settings;
}

/** The token as it is. Throws `OptionError` where it is none. */
export function checkToken(token: unknown): Token | undefined {
  return checked("token", token, TOKEN) as Token | undefined;
}

function endpointOf(url: string | URL): URL {
  const base = (globalThis as { location?: { href: string } }).location?.href;
  const isHttp = () => URL.canParse(url, base) && /^https?:$/.test(new URL(url, base).protocol);
  checked("url", String(url), [undefined, "an http: or https: URL of the gateway", isHttp]);
  return new URL(url, base);
}

/** The options of `given`, all of which must be known, with their defaults. */
function members<T extends object>(prefix: string, given: T | undefined, rules: Readonly<Record<keyof T, Rule>>): T {
  checked(prefix.slice(0, -1) || "options", given, OBJECT);
  const names = Object.keys(rules) as (keyof T & string)[];
  for (const name of Object.keys(given ?? {})) {
    if (names.every((known) => known !== name))
      throw new OptionError(`${prefix}${name}: no such option; there are ${names.join(", ")}`);
  }
  const entries = names.map((name) => [name, checked(prefix + name, given?.[name], rules[name])]);
  return Object.fromEntries(entries) as T;
}

function checked(name: string, value: unknown, [preset, allowed, check]: Rule): unknown {
  if (value === undefined) return preset;
  if (check(value)) return value;
  let found: string | undefined;
  try {
    found = JSON.stringify(value);
  } catch {
    // Not something that JSON can show.
  }
  throw new OptionError(`${name}: expected ${allowed}, found ${(found ?? String(value)).slice(0, 80)}`);
}

function integer(preset: number, min: number, max: number): Rule {
  const check = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max;
  return [preset, `an integer in ${min}..${max}`, check];
}

function isName(value: unknown): boolean {
  return string(value) && value !== "";
}

function isTransports(value: unknown): boolean {
  const isKnown = (name: unknown) => name === "webtransport" || name === "websocket" || name === "https";
  return Array.isArray(value) && value.length > 0 && value.every(isKnown);
}
