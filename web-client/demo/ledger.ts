/** Where an event of this page is, as far as the page has heard. */
export type Fate = "outbox" | "acknowledged" | "arrived" | "refused" | "dropped";

/** One event that was handed to the client. */
export interface Entry {
  /** Its number on this page, from 1. */
  readonly number: number;
  /** When it was handed over, in ms of `performance.now()`. */
  readonly sentAt: number;
  fate: Fate;
}

/** How many events of this page met which fate. */
export interface Counts {
  readonly sent: number;
  readonly acknowledged: number;
  /** Seen at the other end. */
  readonly arrived: number;
  /** Seen there more than once. */
  readonly again: number;
  readonly refused: number;
  readonly dropped: number;
}

/** Events that are remembered for when they arrive; the oldest acknowledged ones go first. */
const ACKNOWLEDGED_MAX = 50_000;

/** Keeps account of the events of this page by ids of their own: `<page>-<number>`. */
export class Ledger {
  readonly #page: string;
  readonly #counts = { sent: 0, acknowledged: 0, arrived: 0, again: 0, refused: 0, dropped: 0 };
  /** In the outbox, oldest first. */
  #outbox: Entry[] = [];
  /** Acknowledged or refused, and not seen to arrive. */
  readonly #settled = new Map<number, Entry>();
  /** Numbers that arrived before they were acknowledged. */
  readonly #early = new Set<number>();

  constructor(page: string) {
    this.#page = page;
  }

  get counts(): Counts {
    return this.#counts;
  }

  /** Handed over and not settled. */
  get outbox(): number {
    return this.#outbox.length;
  }

  /** The next event, and the id it must have. */
  enter(now: number): { readonly entry: Entry; readonly id: string } {
    this.#counts.sent += 1;
    const entry: Entry = { number: this.#counts.sent, sentAt: now, fate: "outbox" };
    this.#outbox.push(entry);
    return { entry, id: `${this.#page}-${entry.number}` };
  }

  /**
   * The client says that `count` more events are acknowledged, and has `left` unsettled. The oldest of this page are among them
   * as far as no older ones, of an earlier visit, were. Returns those that are acknowledged now.
   */
  acknowledge(count: number, left: number): readonly Entry[] {
    const settled = this.#outbox.splice(0, Math.min(Math.max(0, this.#outbox.length - left), count));
    for (const entry of settled) {
      this.#counts.acknowledged += 1;
      entry.fate = "acknowledged";
      if (this.#early.delete(entry.number)) entry.fate = "arrived";
      else this.#remember(entry);
    }
    return settled;
  }

  /** The event with this id was refused, or given up by the client. */
  give(id: string | undefined, fate: "refused" | "dropped"): Entry | null {
    const number = this.#number(id);
    const at = this.#outbox.findIndex((entry) => entry.number === number);
    const [entry] = at < 0 ? [] : this.#outbox.splice(at, 1);
    if (!entry) return null;
    this.#counts[fate] += 1;
    entry.fate = fate;
    return entry;
  }

  /** An event with this id was seen at the other end; whether it is one of this page. */
  arrive(id: string | undefined): boolean {
    const number = this.#number(id);
    if (number === null) return false;
    const entry = this.#settled.get(number);
    const waits = entry === undefined && this.#isInOutbox(number) && !this.#early.has(number);
    if (!entry && !waits) {
      this.#counts.again += 1;
      return true;
    }
    this.#counts.arrived += 1;
    if (entry) {
      entry.fate = "arrived";
      this.#settled.delete(number);
    } else this.#early.add(number);
    return true;
  }

  #number(id: string | undefined): number | null {
    if (!id?.startsWith(`${this.#page}-`)) return null;
    const number = Number(id.slice(this.#page.length + 1));
    return Number.isInteger(number) && number >= 1 && number <= this.#counts.sent ? number : null;
  }

  /** Numbers in the outbox rise. */
  #isInOutbox(number: number): boolean {
    let low = 0;
    let high = this.#outbox.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#outbox[middle]?.number ?? Number.POSITIVE_INFINITY) < number) low = middle + 1;
      else high = middle;
    }
    return this.#outbox[low]?.number === number;
  }

  #remember(entry: Entry): void {
    this.#settled.set(entry.number, entry);
    const [oldest] = this.#settled.keys();
    if (this.#settled.size > ACKNOWLEDGED_MAX && oldest !== undefined) this.#settled.delete(oldest);
  }
}
