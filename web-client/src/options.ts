import { OptionError } from "./errors/option-error.js";
import type { TransportName } from "./link/link.js";
import type { OutboxLimits } from "./outbox/outbox.js";
import { boolean, type Check, string } from "./wire/shape.js";

/** What a token function gives: the token, and when it ends if that is known (Unix ms or a `Date`). */
export type TokenAnswer =
  | string
  | {
      /** The token. */
      readonly token: string;
      /** When it ends. */
      readonly expiresAt: number | Date;
    };

/** A token, or a function that gives a fresh one. */
export type Token = string | (() => TokenAnswer | Promise<TokenAnswer>);

/** What `connect` can be told. Everything may be left out. */
export interface Options {
  /**
   * Proves who sends; none by default. A function is called at the start, before its answer's `expiresAt` (after 80 % of the
   * token's life or 60 s before its end, whichever is earlier, but not in its first half), and once when the gateway refuses a
   * token. A plain string that is refused stops the client until `authenticate`.
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
  /** Aborting it is `close()` without waiting: nothing more is sent. What is stored stays so. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Whether a page that is left posts what it has not handed to a connection, with `fetch(keepalive)`, at most 60 KiB, as soon as
   * what does that is loaded (2 s after the start, or once connected). Default `true`. Without it those events wait for the next visit.
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

/** All options, in their places. */
interface Given extends Omit<Settings, "endpoint" | "storage" | "database" | "limits"> {
  readonly outbox: {
    readonly storage: Settings["storage"];
    readonly maxBytes: number;
    readonly maxAgeMs: number;
    readonly database?: string;
  };
}

/** An option: its default, and what is allowed, in words and as a check. */
type Rule = readonly [preset: unknown, allowed: string, check: Check];

/** What an object may have. */
interface Rules {
  readonly [name: string]: Rule | Rules;
}

const MIB = 1024 * 1024;
const TRANSPORTS: readonly TransportName[] = ["webtransport", "websocket", "https"];

const TOKEN: Rule = [
  undefined,
  "a non-empty string or a function",
  (value) => typeof value === "function" || isName(value),
];

const OPTIONS = {
  token: TOKEN,
  name: ["web", "1-64 of A-Z a-z 0-9 . _ : -", (value) => string(value) && /^[\w.:-]{1,64}$/.test(value as string)],
  transports: [undefined, `some of ${TRANSPORTS.join(", ")}`, isTransports],
  outbox: {
    storage: ["auto", "auto or memory", (value) => value === "auto" || value === "memory"],
    maxBytes: integer(5 * MIB, 4096, 1024 * MIB),
    maxAgeMs: integer(48 * 3_600_000, 1000, Number.MAX_SAFE_INTEGER),
    database: [undefined, "a name", isName],
  } satisfies Record<keyof OutboxOptions, Rule>,
  batch: {
    maxEvents: integer(1000, 1, 1000),
    maxBytes: integer(64 * 1024, 1024, 2 * MIB),
    delayMs: integer(5, 0, 1000),
  } satisfies Record<keyof BatchOptions, Rule>,
  signal: [undefined, "an AbortSignal", (value) => typeof Object(value).addEventListener === "function"],
  farewell: [true, "true or false", boolean],
} satisfies Record<keyof Options, Rule | Rules>;

/** Checks everything that `connect` was given. Throws `OptionError`. */
export function settingsOf(url: string | URL, options?: Options): Settings {
  const base = (globalThis as { location?: { href: string } }).location?.href;
  const endpoint = new URL(URL.canParse(url, base) ? url : "no:url", base);
  checked("url", String(url), [undefined, "an http: or https: URL", () => /^https?:/.test(endpoint.href)]);
  const { outbox, ...rest } = members<Given>("", options, OPTIONS);
  const { storage, maxBytes, maxAgeMs, database = `tidegate:${endpoint.host}` } = outbox;
  return {
    ...rest,
    endpoint,
    storage,
    database,
    limits: { bytes: maxBytes, roomBytes: maxBytes / 2, ageMs: maxAgeMs },
  };
}

/** The token as it is. Throws `OptionError` where it is none. */
export function checkToken(token: unknown): Token | undefined {
  return checked("token", token, TOKEN) as Token | undefined;
}

/** What `given` says, all of which must be known, with the defaults of the rest. */
function members<T>(prefix: string, given: unknown, rules: Rules): T {
  const isObject = (value: unknown) => typeof value === "object" && value !== null;
  const values = checked(prefix || "options", given, [{}, "an object", isObject]) as Record<string, unknown>;
  const path = prefix && `${prefix}.`;
  for (const name of Object.keys(values)) {
    if (!rules[name]) {
      throw new OptionError(`${path}${name}: no such option; there are ${Object.keys(rules).join(", ")}`);
    }
  }
  const found = Object.entries(rules).map(([name, rule]) => {
    const check = Array.isArray(rule) ? checked : members<unknown>;
    return [name, check(path + name, values[name], rule as Rule & Rules)];
  });
  return Object.fromEntries(found) as T;
}

function checked(name: string, value: unknown, [preset, allowed, check]: Rule): unknown {
  if (value === undefined) return preset;
  if (check(value)) return value;
  const found = string(value) ? `"${value}"` : String(value);
  throw new OptionError(`${name}: expected ${allowed}, found ${found.slice(0, 80)}`);
}

function integer(preset: number, min: number, max: number): Rule {
  const check = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max;
  return [preset, `an integer in ${min}..${max}`, check];
}

function isName(value: unknown): boolean {
  return string(value) && value !== "";
}

function isTransports(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((name) => TRANSPORTS.includes(name));
}
