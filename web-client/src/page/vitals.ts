import { Interactions } from "./interactions.js";
import { type LayoutShiftEntry, LayoutShifts } from "./layout-shift.js";
import type { PageWindow } from "./window.js";

/** A measure of one page view, final. */
export interface Vital {
  readonly name: VitalName;
  /** Milliseconds; CLS: a score. */
  readonly value: number;
  readonly rating: "good" | "needs-improvement" | "poor";
}

type VitalName = keyof typeof THRESHOLDS;

/** Up to the first: good. Beyond the second: poor. */
const THRESHOLDS = {
  LCP: [2_500, 4_000],
  CLS: [0.1, 0.25],
  INP: [200, 500],
  FCP: [1_800, 3_000],
  TTFB: [800, 1_800],
} as const;

/** Shorter events are not looked at one by one: an INP below this is good anyway. */
const EVENT_MS = 40;

/** What entries have beyond what the DOM's types say, by their type. */
type Entry = PerformanceEntry & LayoutShiftEntry & { readonly interactionId?: number };

/**
 * Measures one page view after the other: a load, then each return from the back/forward cache. New URLs in the same document begin
 * no measurement, as in the definitions at web.dev/articles/vitals.
 */
export class Vitals {
  readonly #page: PageWindow;
  readonly #observers: PerformanceObserver[] = [];
  /** When the page was activated, if it was prerendered. */
  readonly #activated: number;
  /** What was painted later was not seen. */
  #hiddenAt: number;
  #since = 0;
  #interactionsBefore = 0;
  #finished = false;
  #values: { -readonly [name in "FCP" | "LCP" | "TTFB"]?: number } = {};
  #shifts = new LayoutShifts();
  #interactions = new Interactions();

  /** Measures the load, from its beginning. */
  constructor(page: PageWindow, signal: AbortSignal) {
    this.#page = page;
    const [navigation] = page.performance.getEntriesByType("navigation") as (PerformanceNavigationTiming & {
      readonly activationStart?: number;
    })[];
    this.#activated = navigation?.activationStart ?? 0;
    const hidden = page.performance
      .getEntriesByType("visibility-state")
      .find(({ name, startTime }) => name === "hidden" && startTime >= this.#activated);
    this.#hiddenAt = hidden?.startTime ?? (page.document.visibilityState === "hidden" ? 0 : Number.POSITIVE_INFINITY);
    if (navigation && navigation.responseStart > 0) this.#values.TTFB = this.#sinceActivated(navigation.responseStart);
    for (const type of ["paint", "largest-contentful-paint", "layout-shift", "event", "first-input"])
      this.#observe(type);
    signal.addEventListener("abort", () => {
      for (const observer of this.#observers) observer.disconnect();
    });
  }

  /** Ends the view's measurement. What could not be measured is left out; nothing is left when it is called again. */
  finish(): readonly Vital[] {
    if (this.#finished) return [];
    for (const observer of this.#observers) this.#take(observer.takeRecords());
    this.#finished = true;
    const values: { [name in VitalName]?: number | null } = { ...this.#values };
    if (values.FCP !== undefined && this.#observes("layout-shift")) values.CLS = this.#shifts.value;
    const count = this.#interactionCount();
    values.INP = this.#interactions.value(count && count - this.#interactionsBefore);
    return (Object.keys(THRESHOLDS) as VitalName[]).flatMap((name) => {
      const value = values[name];
      return value == null ? [] : [vital(name, value)];
    });
  }

  /** Measures a return from the back/forward cache that began at `since`. */
  restart(since: number): void {
    this.#finished = false;
    this.#since = since;
    this.#hiddenAt = Number.POSITIVE_INFINITY;
    this.#values = { TTFB: 0 };
    this.#shifts = new LayoutShifts();
    this.#interactions = new Interactions();
    this.#interactionsBefore = this.#interactionCount() ?? 0;
    const values = this.#values;
    // The second frame begins when the first has been painted.
    this.#page.requestAnimationFrame(() =>
      this.#page.requestAnimationFrame(() => {
        values.FCP = values.LCP = this.#page.performance.now() - since;
      }),
    );
  }

  #observes(type: string): boolean {
    return this.#page.PerformanceObserver?.supportedEntryTypes.includes(type) ?? false;
  }

  #observe(type: string): void {
    const { PerformanceObserver } = this.#page;
    if (!PerformanceObserver || !this.#observes(type)) return;
    const observer = new PerformanceObserver((list) => this.#take(list.getEntries()));
    observer.observe({ type, buffered: true, durationThreshold: EVENT_MS } as PerformanceObserverInit);
    this.#observers.push(observer);
  }

  #take(entries: readonly PerformanceEntry[]): void {
    for (const entry of entries as readonly Entry[]) {
      const { startTime, entryType } = entry;
      if (this.#finished || startTime < this.#since) continue;
      if (entryType === "layout-shift") this.#shifts.add(entry);
      else if (entry.interactionId) this.#interactions.add(entry.interactionId, entry.duration);
      else if (startTime >= this.#hiddenAt) continue;
      else if (entryType === "largest-contentful-paint") this.#values.LCP = this.#sinceActivated(startTime);
      else if (entry.name === "first-contentful-paint") this.#values.FCP = this.#sinceActivated(startTime);
    }
  }

  #sinceActivated(time: number): number {
    return Math.max(0, time - this.#activated);
  }

  /** Undefined where the browser does not count. */
  #interactionCount(): number | undefined {
    return (this.#page.performance as { readonly interactionCount?: number }).interactionCount;
  }
}

function vital(name: VitalName, measured: number): Vital {
  const digits = name === "CLS" ? 4 : 0;
  const value = Number(measured.toFixed(digits));
  const [good, poor] = THRESHOLDS[name];
  return { name, value, rating: value <= good ? "good" : value <= poor ? "needs-improvement" : "poor" };
}
