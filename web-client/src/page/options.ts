import type { CloudEvent } from "../event.js";
import type { UrlParts } from "./location.js";

/** What can be observed: `page.view`, `page.vital` and `page.error`. */
export type PageKind = "view" | "vital" | "error";

/**
 * What to observe, and what to say of it. Nothing is observed unless asked for. A kind is asked for by `true`, or by the share of
 * page loads, 0 to 1, in which it is observed; one draw decides for all kinds, so at `vitals: 0.1, errors: 0.5` each load that has
 * vitals has errors too. Events of a kind with a share below 1 carry it as `data.share`.
 */
export interface PageOptions {
  /** Page views: loads, returns from the back/forward cache, and new URLs in the same document. Default: false. */
  readonly views?: boolean | number | undefined;
  /** Web vitals: LCP, CLS, INP, FCP and TTFB, as far as the browser measures them. Default: false. */
  readonly vitals?: boolean | number | undefined;
  /** Uncaught errors and unhandled rejections. Default: false. */
  readonly errors?: boolean | number | undefined;
  /** Errors that are sent in one page view; further ones are counted. 1 to 1,000; default: 20. */
  readonly maxErrors?: number | undefined;
  /** How much of a URL is reported, wherever there is one (stacks and messages of errors too). Default: `"path"`. */
  readonly urls?: UrlParts | undefined;
  /** Attributes of all events: `source`, `partitionkey`, extensions. Default: none, the gateway fills in what CloudEvents needs. */
  readonly attributes?: { readonly [attribute: string]: string | number | boolean } | undefined;
  /**
   * Sees each event before it is sent, and returns what is sent instead; null: nothing is. An event for which it throws is not sent;
   * the first time that is reported with `reportError`.
   */
  readonly redact?: ((event: CloudEvent) => CloudEvent | null) | undefined;
}

/** The share of page loads in which each kind is observed. Throws `RangeError` for what is not a share. */
export function shares({ views, vitals, errors }: PageOptions): Readonly<Record<PageKind, number>> {
  return { view: share("views", views), vital: share("vitals", vitals), error: share("errors", errors) };
}

/** How many errors of a page view are sent. Throws `RangeError` for what is not such a number. */
export function maxErrors({ maxErrors: max = 20 }: PageOptions): number {
  if (!(Number.isInteger(max) && max >= 1 && max <= 1000)) throw wrong("maxErrors", "an integer of 1 to 1000", max);
  return max;
}

function share(name: string, value: boolean | number = false): number {
  const number = Number(value);
  if (!(number >= 0 && number <= 1)) throw wrong(name, "true, false or a share of 0 to 1", value);
  return number;
}

function wrong(name: string, expected: string, found: unknown): RangeError {
  return new RangeError(`${name}: expected ${expected}, found ${String(found)}`);
}
