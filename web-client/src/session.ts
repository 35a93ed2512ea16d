import { Backoff } from "./backoff.js";
import { type Clock, systemClock } from "./clock.js";
import { Connection, type Ending } from "./connection.js";
import { EventTooLargeError } from "./errors/event-too-large-error.js";
import { SessionClosedError } from "./errors/session-closed-error.js";
import type { CloudEvent } from "./event.js";
import { dialer } from "./link/dial.js";
import type { Dial, Link, Route, TransportName } from "./link/link.js";
import { EventQueue, type QueueLimits, type Settlement } from "./queue.js";
import { isFinal, type Reason } from "./wire/codes.js";
import type { Hello, Welcome } from "./wire/frames.js";
import { utf8 } from "./wire/writer.js";

/** Where a session stands. */
export interface SessionState {
  /** `waiting`: for the next attempt. `closed`: for good, by `close()` or by a refusal that trying again would not change. */
  readonly status: "connecting" | "open" | "waiting" | "closed";
  /** What carries the open connection. */
  readonly transport: TransportName | null;
  /** Why the gateway holds credit back; `ok` when it does not. */
  readonly reason: Reason;
  /** Why the last connection ended, for people. */
  readonly message: string | null;
}

/** What a session needs to know. Only one of `endpoint` and `dial` matters: `dial` wins. */
export interface SessionOptions {
  /** Any URL of the gateway; its discovery document is at a fixed path. */
  readonly endpoint: URL;
  /** 1-128 of `[A-Za-z0-9._:-]`. Default: a random name. One name is one session at a time: the newest wins. */
  readonly client?: string;
  readonly token?: string;
  /** Force a transport. Default: what the gateway prefers and the browser can. */
  readonly transport?: TransportName;
  /** Events and payload bytes that may wait for acknowledgement. Default: 10,000 and 8 MiB. */
  readonly limits?: QueueLimits;
  /** Called after every change of state; must not throw. */
  readonly onState?: (state: SessionState) => void;
  /** How to find the gateway, for carriers of your own. */
  readonly dial?: Dial;
  readonly clock?: Clock;
  /** Numbers in 0 (included) to 1 (excluded), for jitter. */
  readonly random?: () => number;
}

/** An event that was taken. */
export interface Sent {
  readonly seq: number;
  /** Never rejects: a refusal is an outcome. */
  readonly settled: Promise<Settlement>;
}

const CLIENT_NAME = /^[A-Za-z0-9._:-]{1,128}$/;
const SDK = "tidegate-js/0.1.0";
const QUEUE_LIMITS: QueueLimits = { events: 10_000, bytes: 8 * 1024 * 1024 };
/** The largest event that any gateway may be configured to take. */
const EVENT_BYTES_MAX = 1024 * 1024;
const DISCOVERY_TIMEOUT_MS = 5_000;
const OPEN_TIMEOUT_MS = 3_000;

/** Sends events in order, keeps each until it is acknowledged, and reconnects by itself. Events live in memory only. */
export class Session {
  readonly #client: string;
  readonly #token: string | undefined;
  readonly #dial: Dial;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #onState: (state: SessionState) => void;
  readonly #queue: EventQueue;
  readonly #backoff: Backoff;
  readonly #ended: Promise<void>;
  #state: SessionState = { status: "connecting", transport: null, reason: "ok", message: null };
  #epoch: number | undefined;
  #eventBytesMax = EVENT_BYTES_MAX;
  #connection: Connection | null = null;
  readonly #closing = new AbortController();

  /** Starts to connect at once. Throws `RangeError` for a client name that no gateway would take. */
  constructor(options: SessionOptions) {
    this.#client = options.client ?? `web-${crypto.randomUUID()}`;
    if (!CLIENT_NAME.test(this.#client)) {
      throw new RangeError(`client: expected 1-128 of A-Z a-z 0-9 . _ : -, found ${JSON.stringify(this.#client)}`);
    }
    this.#token = options.token;
    this.#dial = options.dial ?? dialer(options.endpoint, options.transport && [options.transport]);
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#onState = options.onState ?? (() => {});
    this.#queue = new EventQueue(options.limits ?? QUEUE_LIMITS);
    this.#backoff = new Backoff(this.#random);
    // Not before the caller has the session in hand.
    this.#ended = Promise.resolve().then(() => this.#run());
  }

  get state(): SessionState {
    return this.#state;
  }

  /** The name this session goes by. */
  get client(): string {
    return this.#client;
  }

  /** Events taken and not settled yet. */
  get unsettled(): number {
    return this.#queue.length;
  }

  /**
   * Takes an event for sending. Throws `QueueFullError`, `EventTooLargeError` or `SessionClosedError`; then nothing was taken and
   * no number is used up.
   */
  send(event: CloudEvent): Sent {
    if (this.#closing.signal.aborted) throw new SessionClosedError(this.#state.message ?? "the session is closed");
    const payload = utf8(JSON.stringify(event));
    if (payload.length > this.#eventBytesMax) {
      throw new EventTooLargeError(`event of ${payload.length} bytes, at most ${this.#eventBytesMax}`);
    }
    let settle: (settlement: Settlement) => void = () => {};
    const settled = new Promise<Settlement>((resolve) => {
      settle = resolve;
    });
    const seq = this.#queue.push(payload, settle);
    this.#connection?.wake();
    return { seq, settled };
  }

  /**
   * Ends the session: what the gateway has received still settles, for up to 5 s; what is left has an unknown outcome. To lose
   * nothing, wait until `unsettled` is 0 before.
   */
  close(): Promise<void> {
    this.#closing.abort();
    this.#connection?.finish();
    return this.#ended;
  }

  async #run(): Promise<void> {
    let message = "closed";
    while (!this.#closing.signal.aborted) {
      this.#become({ status: "connecting", transport: null, reason: "ok" });
      const ending = await this.#attempt();
      message = ending.message;
      if (ending.code !== null && isFinal(ending.code)) break;
      if (ending.useful) this.#backoff.reset();
      if (this.#closing.signal.aborted) break;
      this.#become({ status: "waiting", transport: null, reason: "ok", message });
      await this.#pause(this.#backoff.next(ending.retryMs));
    }
    this.#closing.abort();
    this.#queue.abandon();
    this.#become({ status: "closed", transport: null, reason: "ok", message });
  }

  /** Tries one transport after the other, until one gets as far as WELCOME. */
  async #attempt(): Promise<Ending> {
    let ending = unreached("no transport");
    try {
      for (const route of await this.#within(DISCOVERY_TIMEOUT_MS, (signal) => this.#dial(signal))) {
        ending = await this.#converse(route);
        const settled = ending.welcomed || ending.code !== null;
        if (settled || this.#closing.signal.aborted) break;
      }
    } catch (error) {
      ending = unreached(error instanceof Error ? error.message : String(error));
    }
    return ending;
  }

  async #converse(route: Route): Promise<Ending> {
    let link: Link;
    try {
      link = await this.#within(OPEN_TIMEOUT_MS, (signal) => route.open(route.url, signal));
    } catch (error) {
      return unreached(error instanceof Error ? error.message : String(error));
    }
    if (this.#closing.signal.aborted) {
      link.close();
      return unreached("closed");
    }
    const connection = new Connection({
      link,
      queue: this.#queue,
      clock: this.#clock,
      random: this.#random,
      listener: {
        welcomed: (welcome) => this.#welcomed(welcome, link.name),
        acknowledged: (reason) => {
          if (reason !== this.#state.reason) this.#become({ ...this.#state, reason });
        },
      },
    });
    this.#connection = connection;
    const ending = await connection.run(this.#hello());
    this.#connection = null;
    return ending;
  }

  #welcomed(welcome: Welcome, transport: TransportName): void {
    this.#epoch = welcome.epoch ?? undefined;
    this.#eventBytesMax = welcome.max_event_bytes;
    this.#become({ status: "open", transport, reason: "ok", message: null });
  }

  #hello(): Hello {
    return {
      v: 1,
      client: this.#client,
      ...(this.#token !== undefined && { token: this.#token }),
      ...(this.#epoch !== undefined && { epoch: this.#epoch }),
      next: this.#queue.upto + 1,
      sent_at: Date.now(),
      sdk: SDK,
    };
  }

  #become(state: Partial<SessionState>): void {
    this.#state = { ...this.#state, ...state };
    this.#onState(this.#state);
  }

  /** Runs `work`, which must end when its signal is aborted: after `timeoutMs`, or when the session closes. */
  async #within<T>(timeoutMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const abort = () => controller.abort();
    const cancel = this.#clock.after(timeoutMs, abort);
    this.#closing.signal.addEventListener("abort", abort);
    try {
      return await work(controller.signal);
    } finally {
      cancel();
      this.#closing.signal.removeEventListener("abort", abort);
    }
  }

  /** Waits, but not beyond the session's end. */
  #pause(delayMs: number): Promise<void> {
    const { signal } = this.#closing;
    return new Promise((resolve) => {
      const cancel = this.#clock.after(delayMs, done);
      signal.addEventListener("abort", done);
      function done() {
        cancel();
        signal.removeEventListener("abort", done);
        resolve();
      }
    });
  }
}

function unreached(message: string): Ending {
  return { code: null, message, retryMs: null, welcomed: false, useful: false };
}
