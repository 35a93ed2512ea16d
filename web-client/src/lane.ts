import { Attempt } from "./attempt.js";
import { Backoff } from "./backoff.js";
import type { Clock } from "./clock.js";
import type { Connection, Ending } from "./connection.js";
import { TidegateError } from "./errors/tidegate-error.js";
import type { Dial, Route, TransportName } from "./link/link.js";
import type { Preference } from "./link/preference.js";
import type { BatchSettings } from "./options.js";
import type { Outbox } from "./outbox/outbox.js";
import { stepAfter } from "./recovery.js";
import type { Reporter } from "./report.js";
import type { TokenSource } from "./token.js";
import type { Bytes } from "./wire/bytes.js";
import type { Reason } from "./wire/codes.js";
import type { Welcome } from "./wire/frames.js";

/** Where a lane stands. `waiting`: for the next attempt. `stopped`: until the application does something about `error`. */
export interface LaneState {
  readonly status: "connecting" | "open" | "waiting" | "offline" | "stopped" | "closed";
  /** What carries the open connection. */
  readonly transport: TransportName | null;
  /** Why the gateway holds credit back; `ok` where it does not. */
  readonly reason: Reason;
  /** What the last connection, or the last attempt, ended with; `null` once one is open. */
  readonly error: TidegateError | null;
}

/** What a lane works with. */
export interface LaneParts {
  readonly outbox: Outbox;
  /** The highest number that others before us may have sent: the loaded state's last one. */
  readonly loadedLast: number;
  readonly token: TokenSource;
  /** How to find the gateway where the application says, or where a gateway has sent us. */
  readonly dial: (elsewhere: URL | null) => Dial;
  readonly preference: Preference;
  readonly batch: BatchSettings;
  /** What to tell the gateway about this client; `null`: nothing. */
  readonly reporter: Reporter | null;
  readonly online: () => boolean;
  readonly clock: Clock;
  /** Unix ms. */
  readonly now: () => number;
  readonly random: () => number;
  readonly listener: LaneListener;
}

/** Whom a lane tells. Must not throw. */
export interface LaneListener {
  changed(state: LaneState): void;
  welcomed(welcome: Welcome): void;
}

/** What may cut a wait short. */
type Cause = "network" | "visible" | "token" | "stored";

const REPORT_MS = 60_000;
/** Events go first. */
const REPORT_FIRST_MS = 1_000;
/** Some browsers say offline when they are not. */
const OFFLINE_MAX_MS = 30_000;
/** How long after a request of ours, and after another connection of ours, a takeover may be its doing: it was late. */
const POSTED_MS = 60_000;
const OVERTAKEN_MS = 5_000;
const CLOSE_TIMEOUT_MS = 5_000;

/** One slot's life: connects, converses, comes back after breaks, and ends when it is told to. */
export class Lane {
  readonly #parts: LaneParts;
  readonly #backoff: Backoff;
  readonly #reached: { seq: number };
  #state: LaneState = { status: "connecting", transport: null, reason: "ok", error: null };
  #batch: BatchSettings;
  #attempt: Attempt | null = null;
  #routes: readonly Route[] = [];
  #elsewhere: URL | null = null;
  #transport: TransportName | null = null;
  /** The token function has been asked since the last token that did something. */
  #renewed = false;
  #hurried = false;
  #closing = false;
  #ended = false;
  #lost = false;
  #collectedBytes = 0;
  #postedAt = Number.NEGATIVE_INFINITY;
  #endedAt = Number.NEGATIVE_INFINITY;
  #wake: (cause: Cause | "end") => void = () => {};
  #cancelReport = () => {};
  #cancelClose = () => {};

  constructor(parts: LaneParts) {
    this.#parts = parts;
    this.#backoff = new Backoff(parts.random);
    this.#batch = parts.batch;
    this.#reached = { seq: parts.loadedLast };
    parts.outbox.onStored = () => this.#stored();
  }

  get state(): LaneState {
    return this.#state;
  }

  /** Transports of the gateway, as far as they are known. */
  get routes(): readonly Route[] {
    return this.#attempt?.routes.length ? this.#attempt.routes : this.#routes;
  }

  /** Whether every event that may be sent has been handed to a link that is open. */
  get handed(): boolean {
    return this.#connection?.handed ?? false;
  }

  /**
   * Lives until it is ended, or closed and empty; `left`: another instance has the name, `lost`: and what was stored. Never rejects.
   */
  async run(): Promise<"closed" | "left" | "lost"> {
    let left = false;
    while (!left && !this.#over) {
      if (!this.#parts.online()) {
        this.#become({ status: "offline" });
        await this.#pause(OFFLINE_MAX_MS, ["network"]);
        if (this.#over) break;
      }
      this.#become({ status: "connecting" });
      const ending = await this.#try();
      if (!this.#over) left = await this.#recover(ending);
    }
    this.end();
    this.#become({ status: "closed" });
    if (this.#lost) return "lost";
    return left ? "left" : "closed";
  }

  /** Counts bytes that were pushed, so that a full frame need not wait for company. */
  collect(bytes: number): void {
    this.#collectedBytes += bytes;
  }

  /** Events were settled or given up. */
  settled(): void {
    if (this.#closing && this.#parts.outbox.length === 0) this.#sayDone();
  }

  /** Sends what there is without waiting for company. */
  hurry(): void {
    this.#connection?.pump();
  }

  /** Hurries from now on, or no more: nobody looks, and time may be short. */
  set hurried(hurried: boolean) {
    this.#hurried = hurried;
    this.#parts.outbox.hurried = hurried;
    if (hurried) this.hurry();
  }

  /** A reason to try at once, or to ask whether the gateway is still there: the network has changed, somebody looks. */
  nudge(cause: "network" | "visible" | "token"): void {
    if (cause === "network") this.#connection?.probe();
    if (cause === "token") this.#renewed = false;
    this.#wake(cause);
  }

  /** The network is gone, says the browser: what is open must show that it is not. */
  doubt(): void {
    if (this.#connection) this.#connection.probe();
    else if (this.#state.status === "waiting") this.#wake("network");
  }

  /** Connects anew: after the page was in the back/forward cache no link is what it was. */
  restart(): void {
    this.#backoff.reset();
    this.#connection?.stop("the page was away");
    // Once the end has been noticed there is a wait to cut short.
    this.#parts.clock.after(0, () => this.#wake("network"));
  }

  /** Events up to number `seq` were sent beside the lane, by a request that takes its session over. */
  posted(seq: number): void {
    this.#reached.seq = Math.max(this.#reached.seq, seq);
    const { outbox } = this.#parts;
    outbox.sentUpto = Math.max(outbox.sentUpto, seq);
    this.#postedAt = this.#parts.clock.now();
  }

  /** Replaces the token of the open session. */
  reauth(token: string): void {
    this.#connection?.reauth(token);
  }

  /** As `Link.sendLossy`. */
  sendLossy(payload: Bytes): boolean {
    return this.#connection?.sendLossy(payload) ?? false;
  }

  /** Ends when the outbox is empty; with `hurried` after 5 s at the latest, and at once where nothing is being sent. */
  close(hurried: boolean): void {
    if (this.#closing) return;
    this.#closing = true;
    if (hurried) {
      const { status } = this.#state;
      if (status === "stopped" || status === "offline") {
        this.end();
        return;
      }
      this.#cancelClose = this.#parts.clock.after(CLOSE_TIMEOUT_MS, () => this.end());
      this.#wake("network");
    }
    this.hurried = true;
    this.settled();
  }

  /** The slot is another tab's, storage says. */
  lose(): void {
    this.#lost = true;
    this.end();
  }

  /** Ends at once. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelReport();
    this.#cancelClose();
    this.#attempt?.stop("closed");
    this.#wake("end");
  }

  get #connection(): Connection | null {
    return this.#attempt?.connection ?? null;
  }

  get #over(): boolean {
    return this.#ended || (this.#closing && this.#parts.outbox.length === 0);
  }

  #stored(): void {
    const collected = this.#collectedBytes;
    this.#collectedBytes = 0;
    if (this.#hurried) this.hurry();
    else this.#connection?.stored(collected);
    this.#wake("stored");
  }

  async #try(): Promise<Ending> {
    const { outbox, dial } = this.#parts;
    this.#attempt = new Attempt({
      ...this.#parts,
      dial: dial(this.#elsewhere),
      batch: this.#batch,
      reached: this.#reached,
      listener: {
        opened: (connection, welcome) => this.#opened(connection, welcome),
        acknowledged: (reason) => this.#become({ reason }),
        oversized: () => this.#parts.reporter?.dropped("too_large", 1),
      },
    });
    this.#elsewhere = null;
    const ending = await this.#attempt.run();
    this.#routes = this.routes;
    this.#attempt = null;
    this.#cancelReport();
    outbox.sentUpto = outbox.upto;
    return ending;
  }

  #opened(connection: Connection, welcome: Welcome): void {
    const { transport } = connection;
    if (this.#transport !== null && this.#transport !== transport) this.#parts.reporter?.switched();
    this.#transport = transport;
    this.#parts.listener.welcomed(welcome);
    this.#become({ status: "open", transport, reason: "ok", error: null });
    this.#cancelReport();
    this.#cancelReport = this.#parts.clock.after(REPORT_FIRST_MS, () => this.#reportFrom(connection));
    if (this.#closing) this.settled();
  }

  /** Now and then, as long as the connection is the one in use. */
  #reportFrom(connection: Connection): void {
    if (connection !== this.#connection || this.#ended) return;
    void this.#report(connection);
    this.#cancelReport = this.#parts.clock.after(REPORT_MS, () => this.#reportFrom(connection));
  }

  async #report(connection: Connection): Promise<void> {
    const { reporter } = this.#parts;
    const report = connection.transport === "https" ? null : reporter?.take();
    if (report && !(await connection.report(report))) reporter?.putBack(report);
  }

  #sayDone(): void {
    const connection = this.#connection;
    if (connection?.open) void this.#report(connection).then(() => connection.finish());
    else this.end();
  }

  /** What follows from how a connection ended; true where the slot is to be left. */
  async #recover(ending: Ending): Promise<boolean> {
    const { outbox, token, clock } = this.#parts;
    if (ending.useful) {
      this.#backoff.reset();
      this.#renewed = false;
    }
    this.#elsewhere = elsewhere(ending.url);
    const now = clock.now();
    const ourTakeover = now - this.#postedAt < POSTED_MS || now - this.#endedAt < OVERTAKEN_MS;
    this.#endedAt = now;
    if (this.#transport === "https") this.#postedAt = now;
    const step = stepAfter(ending, { ourTakeover, renewable: token.renewable && !this.#renewed });
    const closed = { transport: null, reason: "ok", error: errorOf(ending) } as const;
    let asked = ending.retryMs;
    switch (step.kind) {
      case "leave":
        return true;
      case "stop":
        this.#become({ ...closed, status: "stopped", error: step.error });
        if (!this.#closing) await this.#pause(null, ["token"]);
        else this.end();
        return false;
      case "rest":
        if (outbox.length > 0) break;
        this.#become({ ...closed, status: "waiting", error: null });
        await this.#pause(null, ["stored", "token"]);
        asked = 0;
        break;
      case "renew":
        token.refused();
        this.#renewed = true;
        break;
      case "renumber":
        this.#become({ ...closed, status: "waiting" });
        await this.#renumber();
        break;
      case "shrink":
        this.#batch = {
          ...this.#batch,
          maxEvents: Math.max(1, Math.min(this.#batch.maxEvents, ending.lastBatch) >> 1),
        };
        break;
      case "retry":
    }
    this.#become({ ...closed, status: "waiting" });
    await this.#pause(this.#backoff.next(asked), asked ? ["network", "token"] : ["network", "token", "visible"]);
    return false;
  }

  async #renumber(): Promise<void> {
    const { outbox, now } = this.#parts;
    this.#reached.seq = 0;
    // Storage that fails is the outbox's matter: it lives on in memory, or tells that the slot is lost.
    await outbox.restart(outbox.client, Math.max(outbox.epoch + 1, now())).catch(() => {});
  }

  #become(change: Partial<LaneState>): void {
    const state = { ...this.#state, ...change };
    const { status, transport, reason, error } = this.#state;
    if (state.status === status && state.transport === transport && state.reason === reason && state.error === error)
      return;
    this.#state = state;
    this.#parts.listener.changed(state);
  }

  /** Waits for the time (`null`: any time) or for one of `causes`, but not beyond the lane's end. */
  #pause(delayMs: number | null, causes: readonly Cause[]): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        this.#wake = () => {};
        resolve();
      };
      const cancel = delayMs === null ? () => {} : this.#parts.clock.after(delayMs, done);
      this.#wake = (cause) => {
        if (cause === "end" || causes.includes(cause)) done();
      };
    });
  }
}

function errorOf({ error, message }: Ending): TidegateError {
  return error instanceof TidegateError ? error : new TidegateError(message, { cause: error });
}

/** A URL that a gateway has sent us to, if it is one that `fetch` can ask. */
function elsewhere(url: string | undefined): URL | null {
  if (url === undefined || !URL.canParse(url)) return null;
  const parsed = new URL(url);
  return /^https?:$/.test(parsed.protocol) ? parsed : null;
}
