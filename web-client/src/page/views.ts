import { cutUrl, type UrlParts } from "./location.js";
import type { PageWindow } from "./window.js";

/** How a page view came about. */
export type Arrival = "navigate" | "reload" | "back_forward" | "prerender" | "restore" | "bfcache" | "same_document";

/** One URL looked at: until the document goes, comes back from the back/forward cache, or has another URL. */
export interface View {
  /** Random, and of this view alone: it joins the events of one view and nothing else. */
  readonly id: string;
  readonly url: string;
  readonly arrival: Arrival;
  /** Where the view came from; empty where that is unknown. */
  readonly referrer: string;
}

/** Knows the current view. A URL that differs only in what is not reported is the same view. */
export class Views {
  readonly #page: PageWindow;
  readonly #parts: UrlParts;
  readonly #newId: () => string;
  readonly #changed: (view: View, before: View) => void;
  #view: View;

  /** The document's own view has begun; `changed` is called for each later one. */
  constructor(
    page: PageWindow,
    parts: UrlParts,
    { newId, changed }: { newId: () => string; changed: (view: View, before: View) => void },
  ) {
    this.#page = page;
    this.#parts = parts;
    this.#newId = newId;
    this.#changed = changed;
    this.#view = this.#make(arrivalOf(page), cutUrl(page.document.referrer, parts));
  }

  /** The view that the page's URL says, begun now if it is new. */
  get current(): View {
    if (this.#url() !== this.#view.url) this.#begin("same_document", this.#view.url);
    return this.#view;
  }

  /** The page came back from the back/forward cache. */
  restored(): View {
    this.#begin("bfcache", this.#view.referrer);
    return this.#view;
  }

  /** Notices new URLs at once, not only when `current` is asked for. */
  watch(signal: AbortSignal): void {
    const look = () => {
      if (!signal.aborted) this.current;
    };
    const { navigation, history } = this.#page;
    if (navigation) {
      navigation.addEventListener("currententrychange", look, { signal });
      return;
    }
    this.#page.addEventListener("popstate", look, { signal });
    wrap(history, "pushState", look, signal);
    wrap(history, "replaceState", look, signal);
  }

  #begin(arrival: Arrival, referrer: string): void {
    const before = this.#view;
    this.#view = this.#make(arrival, referrer);
    this.#changed(this.#view, before);
  }

  #make(arrival: Arrival, referrer: string): View {
    return { id: this.#newId(), url: this.#url(), arrival, referrer };
  }

  #url(): string {
    return cutUrl(this.#page.location.href, this.#parts);
  }
}

/** Calls `after` after each call of the method, until aborted. */
function wrap(history: History, method: "pushState" | "replaceState", after: () => void, signal: AbortSignal): void {
  const original = history[method];
  const wrapped: History["pushState"] = function (this: History, ...parameters) {
    original.apply(this, parameters);
    after();
  };
  history[method] = wrapped;
  signal.addEventListener("abort", () => {
    // Who wrapped it after us holds on to ours, which then only calls the original.
    if (history[method] === wrapped) history[method] = original;
  });
}

function arrivalOf({ document, performance }: PageWindow): Arrival {
  const [entry] = performance.getEntriesByType("navigation") as (PerformanceNavigationTiming & {
    readonly activationStart?: number;
  })[];
  if (entry?.activationStart) return "prerender";
  if ((document as { readonly wasDiscarded?: boolean }).wasDiscarded) return "restore";
  return entry?.type ?? "navigate";
}
