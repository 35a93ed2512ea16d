import type { Clock } from "./clock.js";
import { Connection, type Ending } from "./connection.js";
import { DiscoveryError } from "./errors/discovery-error.js";
import type { Dial, Link, Route } from "./link/link.js";
import type { Preference } from "./link/preference.js";
import { race } from "./link/race.js";
import type { BatchSettings } from "./options.js";
import type { Outbox } from "./outbox/outbox.js";
import type { TokenSource } from "./token.js";
import { CloseCode } from "./wire/close-code.js";
import type { Reason } from "./wire/codes.js";
import type { Hello, Welcome } from "./wire/frames.js";

/** Whom an attempt tells. */
export interface AttemptListener {
  /** The gateway has answered HELLO; with a better transport that may happen again. */
  opened(connection: Connection, welcome: Welcome): void;
  /** Why the gateway holds credit back. */
  acknowledged(reason: Reason): void;
  /** An event fits no frame; it counts as refused. */
  oversized(): void;
}

/** What an attempt works with. */
export interface AttemptParts {
  readonly dial: Dial;
  readonly outbox: Outbox;
  /** See `ConnectionParts`. */
  readonly reached: { seq: number };
  readonly batch: BatchSettings;
  readonly token: TokenSource;
  readonly preference: Preference;
  readonly clock: Clock;
  /** Unix ms. */
  readonly now: () => number;
  readonly random: () => number;
  readonly listener: AttemptListener;
}

const SDK = "tidegate-js/0.1.0";
const DISCOVERY_TIMEOUT_MS = 10_000;
/** For all transports together. */
const OPEN_TIMEOUT_MS = 10_000;
const STAGGER_MS = 500;
/** A better transport is not tried more often than this. */
const UPGRADE_MIN_MS = 5_000;

/** A connection and the promise of its end. */
interface Run {
  readonly connection: Connection;
  readonly ended: Promise<Ending>;
}

/** From finding the gateway to the end of the last connection: while one is open, one over a better transport may take over. */
export class Attempt {
  readonly #parts: AttemptParts;
  readonly #stopping = new AbortController();
  #routes: readonly Route[] = [];
  #current: Run | null = null;
  /** What is to take over from it. */
  #heir: Run | null = null;
  /** Whether there ever was an heir. */
  #rivalled = false;
  #cancelUpgrade: () => void = () => {};

  constructor(parts: AttemptParts) {
    this.#parts = parts;
  }

  /** The connection that events go to. */
  get connection(): Connection | null {
    return this.#current?.connection ?? null;
  }

  /** The gateway's transports, as far as they are known. */
  get routes(): readonly Route[] {
    return this.#routes;
  }

  /** Tries one transport after the other until one gets as far as WELCOME, and stays until that is over. Never rejects. */
  async run(): Promise<Ending> {
    let ending: Ending;
    try {
      ending = await this.#try();
    } catch (error) {
      ending = unreached(error);
    }
    this.#cancelUpgrade();
    return ending;
  }

  /** Ends at once. */
  stop(message: string): void {
    this.#stopping.abort();
    this.#cancelUpgrade();
    this.#current?.connection.stop(message);
    this.#heir?.connection.stop(message);
  }

  async #try(): Promise<Ending> {
    const { token, dial, preference } = this.#parts;
    this.#routes = await this.#within(DISCOVERY_TIMEOUT_MS, dial);
    for (let left = preference.order(this.#routes); ; ) {
      // While nothing is open that would have to wait for it.
      const secret = await this.#unlessStopped(token.get());
      const link = await this.#open(left);
      const ending = await this.#converse(link, secret);
      left = left.filter(({ transport }) => transport !== link.name);
      const over = ending.welcomed || ending.code !== null || this.#stopping.signal.aborted;
      if (over || left.length === 0) return ending;
    }
  }

  #open(routes: readonly Route[]): Promise<Link> {
    const { clock } = this.#parts;
    return this.#within(OPEN_TIMEOUT_MS, (signal) => race(routes, { clock, staggerMs: STAGGER_MS, signal }));
  }

  /** From HELLO to the end of the last of the connections that take over from each other. */
  async #converse(link: Link, secret: string | undefined): Promise<Ending> {
    let run = this.#begin(link, secret);
    this.#current = run;
    for (;;) {
      const ending = await run.ended;
      const heir = this.#heir;
      if (heir && (await heir.connection.welcomed)) {
        run = heir;
        if (this.#heir === heir) this.#heir = null;
        continue;
      }
      this.#cancelUpgrade();
      if (this.#current === run) this.#current = null;
      // A takeover that came to nothing is still our own.
      return this.#rivalled && ending.code === CloseCode.taken_over ? { ...ending, code: null } : ending;
    }
  }

  #begin(link: Link, token: string | undefined): Run {
    const { outbox, batch, reached, clock, random, now, preference, listener } = this.#parts;
    let won = false;
    const connection = new Connection({
      link,
      outbox,
      batch,
      reached,
      clock,
      random,
      listener: {
        welcomed: (welcomed, welcome) => {
          this.#current = run;
          listener.opened(welcomed, welcome);
          this.#planUpgrade(welcomed);
        },
        acknowledged: (acknowledged, reason, settled) => {
          if (!won && settled > 0) preference.won(link.name);
          won ||= settled > 0;
          if (acknowledged === this.connection) listener.acknowledged(reason);
        },
        oversized: () => listener.oversized(),
      },
    });
    const hello: Hello = {
      v: 1,
      client: outbox.client,
      ...(token !== undefined && { token }),
      epoch: outbox.epoch,
      next: outbox.upto + 1,
      sent_at: now(),
      sdk: SDK,
    };
    const ended = connection.run(hello).then((ending) => {
      if (ending.stalled) preference.stalled(link.name);
      return ending;
    });
    const run = { connection, ended };
    if (this.#stopping.signal.aborted) connection.stop("closed");
    return run;
  }

  #planUpgrade(connection: Connection): void {
    this.#cancelUpgrade();
    const delayMs = this.#parts.preference.betterAfter(connection.transport, this.#routes);
    if (delayMs === null) return;
    this.#cancelUpgrade = this.#parts.clock.after(
      Math.max(delayMs, UPGRADE_MIN_MS),
      () => void this.#upgrade(connection),
    );
  }

  /** Opens something better beside `old`, and lets it take over when the gateway has answered there. */
  async #upgrade(old: Connection): Promise<void> {
    const { preference, token } = this.#parts;
    const rank = this.#routes.findIndex(({ transport }) => transport === old.transport);
    const better = preference.order(this.#routes.slice(0, rank));
    try {
      const secret = await token.get();
      const link = await this.#open(better);
      if (this.connection !== old || !old.open) return link.close();
      old.pause(true);
      const heir = this.#begin(link, secret);
      this.#heir = heir;
      this.#rivalled = true;
      if (await heir.connection.welcomed) return old.stop("a better transport took over");
      this.#heir = null;
    } catch {
      for (const { transport } of better) preference.stalled(transport);
    }
    if (this.connection !== old || !old.open) return;
    old.pause(false);
    this.#planUpgrade(old);
  }

  /** Runs `work`, which must end when its signal is aborted: after `timeoutMs`, or when the attempt is stopped. */
  async #within<T>(timeoutMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const { signal } = this.#stopping;
    const abort = () => controller.abort();
    const cancel = this.#parts.clock.after(timeoutMs, abort);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    try {
      return await work(controller.signal);
    } finally {
      cancel();
      signal.removeEventListener("abort", abort);
    }
  }

  /** `promise`, but not beyond `stop`. */
  #unlessStopped<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this.#stopping;
    return new Promise((resolve, reject) => {
      const stopped = () => reject(new Error("stopped"));
      if (signal.aborted) stopped();
      signal.addEventListener("abort", stopped);
      promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stopped));
    });
  }
}

function unreached(error: unknown): Ending {
  return {
    code: null,
    message: error instanceof Error ? error.message : String(error),
    error,
    retryMs: error instanceof DiscoveryError ? error.retryMs : null,
    welcomed: false,
    useful: false,
    stalled: false,
    ahead: false,
    lastBatch: 0,
  };
}
