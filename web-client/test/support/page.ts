import type { CloudEvent } from "../../src/event.js";
import { observe } from "../../src/page/observe.js";
import type { PageOptions } from "../../src/page/options.js";
import type { PageWindow } from "../../src/page/window.js";

type Entry = { readonly entryType: string; readonly startTime: number; readonly [member: string]: unknown };
type Member = string | number | boolean | undefined;

/** A page whose visitor, network and clock are the test. Observed by `observed`. */
export class FakePage extends EventTarget {
  readonly sent: CloudEvent[] = [];
  readonly reported: unknown[] = [];
  /** What the client answers to an event. */
  accept: () => Promise<void> = () => Promise.resolve();
  nowMs = 0;
  random = 0.5;
  readonly location = { href: "https://shop.example/cart?user=7#top" };
  readonly history = { pushState: this.#go.bind(this), replaceState: this.#go.bind(this) };
  readonly document = Object.assign(new EventTarget(), {
    visibilityState: "visible",
    referrer: "",
    prerendering: false,
  });
  readonly performance: object;
  readonly PerformanceObserver: unknown;
  navigation?: EventTarget;
  readonly #entries: Entry[] = [];
  readonly #frames: (() => void)[] = [];
  #views = 0;

  /** `entries`: what the browser has recorded until now. `supported`: the types of entries it reports. */
  constructor(entries: readonly Entry[] = [], supported: readonly string[] = ENTRY_TYPES) {
    super();
    this.#entries.push(...entries);
    this.performance = {
      now: () => this.nowMs,
      getEntriesByType: (type: string) => this.#entries.filter(({ entryType }) => entryType === type),
    };
    const all = this.#entries;
    // Hands out records only when asked: the last moment, which is the harder one.
    this.PerformanceObserver = class {
      static readonly supportedEntryTypes = supported;
      #type = "";
      #taken = 0;
      observe({ type }: { type: string }) {
        this.#type = type;
      }
      takeRecords() {
        const mine = all.filter(({ entryType }) => entryType === this.#type);
        const records = mine.slice(this.#taken);
        this.#taken = mine.length;
        return records;
      }
      disconnect() {}
    };
  }

  observed(options: PageOptions): () => void {
    const send = (event: CloudEvent) => {
      this.sent.push(event);
      return this.accept();
    };
    return observe({ send }, options, {
      page: this as unknown as PageWindow,
      random: () => this.random,
      newId: () => {
        this.#views += 1;
        return `view-${this.#views}`;
      },
      reportError: (error) => this.reported.push(error),
    });
  }

  /** The data of the events sent of this type. */
  data(type: string): { readonly [member: string]: Member }[] {
    return this.sent.filter((event) => event.type === type).map((event) => event.data as { [member: string]: Member });
  }

  record(...entries: readonly Entry[]): void {
    this.#entries.push(...entries);
  }

  happen(type: string, members: object = {}): void {
    this.dispatchEvent(Object.assign(new Event(type), members));
  }

  hide(): void {
    this.document.visibilityState = "hidden";
    this.happen("visibilitychange");
  }

  /** Back from the back/forward cache, and painted after `paintMs`. */
  restore(paintMs: number): void {
    this.document.visibilityState = "visible";
    const event = Object.assign(new Event("pageshow"), { persisted: true });
    Object.defineProperty(event, "timeStamp", { value: this.nowMs });
    this.dispatchEvent(event);
    this.nowMs += paintMs;
    for (let frame = this.#frames.shift(); frame; frame = this.#frames.shift()) frame();
  }

  fail(error: unknown, place: object = {}): void {
    this.happen("error", { error, message: `Uncaught ${String(error)}`, ...place });
  }

  requestAnimationFrame(frame: () => void): void {
    this.#frames.push(frame);
  }

  #go(_state: unknown, _unused: string, url?: string): void {
    if (url !== undefined) this.location.href = new URL(url, this.location.href).href;
    this.navigation?.dispatchEvent(new Event("currententrychange"));
  }
}

const ENTRY_TYPES = ["paint", "largest-contentful-paint", "layout-shift", "event", "first-input", "navigation"];

/** The entry of a load whose first byte came at `responseStart`. */
export function load(responseStart: number, members: object = {}): Entry {
  return { entryType: "navigation", startTime: 0, type: "navigate", responseStart, ...members };
}

export function paint(startTime: number): Entry {
  return { entryType: "paint", name: "first-contentful-paint", startTime };
}

export function largest(startTime: number): Entry {
  return { entryType: "largest-contentful-paint", startTime };
}

export function shift(startTime: number, value: number, hadRecentInput = false): Entry {
  return { entryType: "layout-shift", startTime, value, hadRecentInput };
}

export function interaction(interactionId: number, duration: number, startTime = 100): Entry {
  return { entryType: "event", startTime, interactionId, duration };
}
