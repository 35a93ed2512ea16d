import type { Json } from "../event.js";
import { cutUrls, type UrlParts } from "./location.js";

/** What is said of one error, or (`kind: "more"`) of those that were not sent. */
export type ErrorData = { readonly [member: string]: Json | undefined };

/** Where an error happened, as the browser says. */
export interface Place {
  readonly message?: string;
  readonly filename?: string;
  readonly lineno?: number;
  readonly colno?: number;
}

const REPEATED_MS = 60_000;
const KEYS_MAX = 100;
const MESSAGE_CHARS = 1_000;
const STACK_CHARS = 4_000;

/** Decides which errors are worth an event, and counts the others. */
export class ErrorReports {
  readonly #max: number;
  readonly #parts: UrlParts;
  readonly #now: () => number;
  /** When each of the newest errors was sent. */
  readonly #sent = new Map<string, number>();
  #count = 0;
  #repeated = 0;
  #beyond = 0;

  /** `now`: in ms. `max`: errors in one page view. */
  constructor(parts: { readonly max: number; readonly urls: UrlParts; readonly now: () => number }) {
    this.#max = parts.max;
    this.#parts = parts.urls;
    this.#now = parts.now;
  }

  /** What to send of this error; null: nothing, it is counted. `thrown` may be anything. */
  report(kind: "error" | "rejection", thrown: unknown, place: Place = {}): ErrorData | null {
    const data = this.#describe(kind, thrown, place);
    const key = JSON.stringify(data);
    const now = this.#now();
    if (now - (this.#sent.get(key) ?? Number.NEGATIVE_INFINITY) < REPEATED_MS) {
      this.#repeated += 1;
      return null;
    }
    if (this.#count >= this.#max) {
      this.#beyond += 1;
      return null;
    }
    this.#count += 1;
    this.#sent.delete(key);
    this.#sent.set(key, now);
    const [oldest] = this.#sent.keys();
    if (this.#sent.size > KEYS_MAX && oldest !== undefined) this.#sent.delete(oldest);
    return data;
  }

  /** What to say of the errors that were not sent since it was last asked; null: there were none. */
  summary(): ErrorData | null {
    const [repeated, beyond] = [this.#repeated, this.#beyond];
    this.#repeated = this.#beyond = 0;
    return repeated + beyond > 0 ? { kind: "more", repeated, beyond } : null;
  }

  /** A new page view: as many errors again. */
  restart(): void {
    this.#count = 0;
  }

  #describe(kind: string, thrown: unknown, place: Place): ErrorData {
    const { name, message, stack } = (thrown ?? {}) as { name?: unknown; message?: unknown; stack?: unknown };
    const cutStack = typeof stack === "string" ? this.#cut(stack, STACK_CHARS) : undefined;
    const [, file, line, column] = /(\w+:\/\/[^\s()]+?):(\d+):(\d+)/.exec(cutStack ?? "") ?? [];
    return {
      kind,
      name: typeof name === "string" ? this.#cut(name, MESSAGE_CHARS) : undefined,
      message: this.#cut(typeof message === "string" ? message : (place.message ?? words(thrown)), MESSAGE_CHARS),
      stack: cutStack,
      file: place.filename ? this.#cut(place.filename, MESSAGE_CHARS) : file,
      line: place.lineno || (line && Number(line)) || undefined,
      column: place.colno || (column && Number(column)) || undefined,
    };
  }

  #cut(text: string, chars: number): string {
    return cutUrls(text.slice(0, chars), this.#parts);
  }
}

function words(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return typeof thrown;
  }
}
