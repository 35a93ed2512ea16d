import type { Clock } from "./clock.js";
import { FrameError } from "./errors/frame-error.js";
import { LinkError } from "./errors/link-error.js";
import type { Link, TransportName } from "./link/link.js";
import { Liveness } from "./liveness.js";
import type { BatchSettings } from "./options.js";
import type { Outbox } from "./outbox/outbox.js";
import { Sender } from "./sender.js";
import type { Bytes } from "./wire/bytes.js";
import { CloseCode } from "./wire/close-code.js";
import type { Reason } from "./wire/codes.js";
import type { Ack, ClientFrame, Close, GatewayFrame, Goaway, Hello, Report, Welcome } from "./wire/frames.js";

/** How a connection ended, and what that means for the next one. */
export interface Ending {
  /** CLOSE code of the protocol, `null` where none came. */
  readonly code: number | null;
  /** For people. */
  readonly message: string;
  /** What ended it, where something was thrown. */
  readonly error?: unknown;
  /** The gateway asked for this wait. */
  readonly retryMs: number | null;
  /** Where the gateway sent us. */
  readonly url?: string | undefined;
  /** Whether the gateway had answered HELLO. */
  readonly welcomed: boolean;
  /** Whether it settled events or at least lasted, so that trying again soon is worth it. */
  readonly useful: boolean;
  /** The link fell silent while something was to be answered: another transport may do better. */
  readonly stalled: boolean;
  /** The gateway has settled numbers that never reached it, so ours were given out before: the numbering is of no use any more. */
  readonly ahead: boolean;
  /** Events in the last frame that was sent. */
  readonly lastBatch: number;
}

/** Whom a connection tells. */
export interface ConnectionListener {
  welcomed(connection: Connection, welcome: Welcome): void;
  /** Why the gateway holds credit back, with every acknowledgement, and how many numbers were settled by it. */
  acknowledged(connection: Connection, reason: Reason, settled: number): void;
  /** An event fits no frame; it counts as refused. */
  oversized(): void;
}

/** What a connection works with. */
export interface ConnectionParts {
  readonly link: Link;
  readonly outbox: Outbox;
  readonly batch: BatchSettings;
  /** The highest number that may have reached the gateway, over all connections of a numbering. */
  readonly reached: { seq: number };
  readonly clock: Clock;
  readonly random: () => number;
  readonly listener: ConnectionListener;
}

const TICK_MS = 1_000;
/** Ticks this far apart mean that the page or the device slept. */
const SLEPT_MS = 4_000;
const WELCOME_TIMEOUT_MS = 5_000;
/** Over HTTPS the gateway answers when what is under way has settled, and requests have their own end. */
const WELCOME_HTTPS_MS = 40_000;
const SILENCE_MS = 5_000;
/** Requests come after everything else, where networks are at their worst. */
const SILENCE_HTTPS_MS = 15_000;
const PINGS_MISSED = 2.5;
const USEFUL_AFTER_MS = 30_000;
const FINISH_TIMEOUT_MS = 2_000;
const FIRST_CLOSE_CODE = 4000;
const PING: ClientFrame = { type: "ping", body: new Uint8Array(0) };

/** One link from HELLO to its end: sends what waits in the outbox and settles what is acknowledged. */
export class Connection {
  /** Whether the gateway answered HELLO; `false` when the connection ended before. */
  readonly welcomed: Promise<boolean>;
  readonly #parts: ConnectionParts;
  readonly #liveness: Liveness;
  readonly #startedAt: number;
  #tellWelcomed: (welcomed: boolean) => void = () => {};
  #welcome: Welcome | null = null;
  #sender: Sender | null = null;
  #paused = false;
  #useful = false;
  #stalled = false;
  #ahead = false;
  /** Silence would not be the transport's fault. */
  #excused = false;
  #tickedAt: number;
  #heardAt: number;
  /** When to leave, after GOAWAY, and where to. */
  #leave: { readonly at: number; readonly url: string | undefined } | null = null;
  #finishing = false;
  #end: Pick<Ending, "code" | "message" | "retryMs" | "error"> | null = null;
  readonly #timers = new Set<() => void>();

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.#startedAt = this.#tickedAt = this.#heardAt = parts.clock.now();
    this.#liveness = new Liveness(this.#startedAt, parts.link.name === "https" ? SILENCE_HTTPS_MS : SILENCE_MS);
    this.welcomed = new Promise((resolve) => {
      this.#tellWelcomed = resolve;
    });
  }

  /** What carries it. */
  get transport(): TransportName {
    return this.#parts.link.name;
  }

  /** Whether events may travel: the gateway has answered HELLO and nothing has ended. */
  get open(): boolean {
    return this.#welcome !== null && this.#end === null;
  }

  /** Whether everything that is stored has been handed to the link and travels on even if the page ends. */
  get handed(): boolean {
    // Requests under way end with the page.
    if (this.transport === "https") return this.open && this.#parts.outbox.length === 0;
    return this.open && this.#sender?.done === true;
  }

  /** Says `hello` and stays until the link ends. Never rejects: every way to end is an `Ending`. */
  async run(hello: Hello): Promise<Ending> {
    const { link, clock } = this.#parts;
    this.#tick();
    const running = link.run((frame) => {
      this.#heardAt = clock.now();
      this.#liveness.heard(this.#heardAt);
      this.#excused = false;
      if (!this.#end) this.#receive(frame, hello);
      if (this.#end) link.close();
    });
    this.#send({ type: "hello", body: hello });
    try {
      await running;
    } catch (error) {
      this.#fail(error);
    }
    this.#end ??= { code: null, message: "the connection ended", retryMs: null };
    this.#sender?.stop();
    for (const cancel of this.#timers) cancel();
    this.#parts.link.close();
    this.#tellWelcomed(false);
    return this.#ending(this.#end);
  }

  /** There is something new in the outbox, `collected` bytes since the last time. */
  stored(collected: number): void {
    if (this.open) this.#sender?.stored(collected);
  }

  /** Sends what may be sent, now. */
  pump(): void {
    this.#sender?.pump();
  }

  /** Asks at once whether the gateway is still there, after something that links do not always survive. */
  probe(): void {
    if (!this.open) return;
    this.#excused = true;
    this.#liveness.asked(this.#parts.clock.now());
    this.#send(PING);
  }

  /** Sends no events until told otherwise; acknowledgements still count. */
  pause(paused: boolean): void {
    this.#paused = paused;
    if (!paused) this.pump();
  }

  /** Replaces the session's token. */
  reauth(token: string): void {
    if (this.open) this.#send({ type: "reauth", body: { token } });
  }

  /** Whether the report was handed to the link. */
  async report(body: Report): Promise<boolean> {
    if (!this.open) return false;
    try {
      await this.#parts.link.send({ type: "report", body });
      return true;
    } catch {
      return false;
    }
  }

  /** As `Link.sendLossy`. */
  sendLossy(payload: Bytes): boolean {
    return this.open && this.#parts.link.sendLossy(payload);
  }

  /** Sends no more events, says CLOSE `done`, and waits a little for the gateway's. */
  finish(): void {
    if (this.#finishing) return;
    this.#finishing = true;
    if (!this.open) {
      this.stop("closed before the gateway answered");
      return;
    }
    this.#send({ type: "close", body: { code: CloseCode.done, reason: "done" } });
    this.#after(FINISH_TIMEOUT_MS, () => this.stop("the gateway did not answer CLOSE"));
  }

  /** Ends at once. */
  stop(message: string): void {
    this.#end ??= { code: null, message, retryMs: null };
    this.#parts.link.close();
  }

  #receive(frame: GatewayFrame, hello: Hello): void {
    switch (frame.type) {
      case "welcome":
        this.#welcomed(frame.body, hello);
        return;
      case "ack":
        this.#acknowledged(frame.body);
        return;
      case "ping":
        this.#send({ type: "pong", body: frame.body });
        return;
      case "goaway":
        this.#goAway(frame.body);
        return;
      case "close":
        this.#end ??= closed(frame.body);
        return;
      case "pong":
      case "unknown":
        return;
    }
  }

  #welcomed(welcome: Welcome, hello: Hello): void {
    const { outbox, reached, listener } = this.#parts;
    const { upto, level, rej, rej_more } = welcome;
    if (this.#welcome) throw new FrameError("a second WELCOME");
    if (welcome.epoch !== hello.epoch) {
      throw new FrameError(`WELCOME of epoch ${welcome.epoch}, asked for ${hello.epoch}`);
    }
    if (upto > reached.seq) {
      this.#ahead = true;
      throw new FrameError(`WELCOME settles up to ${upto}, at most ${reached.seq} was sent`);
    }
    const next = hello.next ?? 1;
    if (upto + 1 < next) throw new FrameError(`WELCOME goes back to ${upto}, asked for ${next}`);
    // A carrier that knows nothing of refusals learns of them by sending again.
    const settled = rej_more && rej.length === 0 ? next - 1 : upto;
    this.#welcome = welcome;
    this.#sender = new Sender(welcome, settled, {
      ...this.#parts,
      send: (frame) => this.#send(frame),
      held: () => this.#end !== null || this.#finishing || this.#leave !== null || this.#paused,
      oversized: () => listener.oversized(),
    });
    for (const verdict of rej) outbox.judge(verdict);
    const knownFrom = rej_more ? Math.min(upto + 1, ...rej.map(({ seq }) => seq)) : 0;
    if (outbox.settle(settled, level, knownFrom) > 0) this.#useful = true;
    listener.welcomed(this, welcome);
    this.#tellWelcomed(true);
    this.pump();
  }

  #acknowledged(ack: Ack): void {
    const { outbox, reached, listener } = this.#parts;
    if (!this.#sender) throw new FrameError("ACK before WELCOME");
    if (ack.upto > reached.seq) throw new FrameError(`ACK settles up to ${ack.upto}, at most ${reached.seq} was sent`);
    for (const verdict of ack.list) outbox.judge(verdict);
    const settled = outbox.settle(ack.upto, ack.level);
    if (settled > 0) this.#useful = true;
    listener.acknowledged(this, ack.reason, settled);
    this.#sender.acknowledged(ack.upto, ack.limit, ack.limit_bytes);
  }

  #goAway({ after_ms, jitter_ms, url }: Goaway): void {
    const { clock, random } = this.#parts;
    if (this.#leave) return;
    const delayMs = after_ms + random() * jitter_ms;
    this.#leave = { at: clock.now() + delayMs, url };
    this.#after(delayMs, () => this.stop("the gateway asked to reconnect"));
  }

  /** A link that does not take frames is at its end, whatever its other direction does. */
  #send(frame: ClientFrame): Promise<void> {
    return this.#parts.link.send(frame).catch((error: unknown) => {
      this.#fail(error);
      this.#parts.link.close();
    });
  }

  #tick(): void {
    this.#after(TICK_MS, () => {
      const now = this.#parts.clock.now();
      const slept = now - this.#tickedAt > SLEPT_MS;
      this.#tickedAt = now;
      if (slept) {
        // What had to be heard meanwhile may be on its way in just now.
        this.#liveness.heard(now);
        this.probe();
      } else this.#judge(now);
      if (!this.#end) this.#tick();
    });
  }

  #judge(now: number): void {
    const welcome = this.#welcome;
    const patienceMs = this.transport === "https" ? WELCOME_HTTPS_MS : WELCOME_TIMEOUT_MS;
    if (!welcome && now - this.#startedAt >= patienceMs) {
      this.#stalled = true;
      this.stop(`the gateway did not answer within ${patienceMs / 1000} s`);
      return;
    }
    // The gateway's own PINGs show that it is there while nothing is sent.
    const overdue = welcome !== null && now - this.#heardAt > PINGS_MISSED * welcome.ping_ms;
    const verdict = this.#liveness.check(now, overdue || (welcome !== null && this.#parts.outbox.length > 0));
    if (verdict === "ping") this.#send(PING);
    if (verdict !== "dead") return;
    this.#stalled = !this.#excused;
    this.stop("the gateway fell silent");
  }

  #after(delayMs: number, run: () => void): void {
    const cancel = this.#parts.clock.after(delayMs, () => {
      this.#timers.delete(cancel);
      run();
    });
    this.#timers.add(cancel);
  }

  #fail(thrown: unknown): void {
    const error = LinkError.from(this.transport, thrown);
    const code = error instanceof LinkError && (error.code ?? 0) >= FIRST_CLOSE_CODE ? (error.code ?? null) : null;
    this.#end ??= { code, message: error.message, retryMs: null, error };
  }

  #ending(end: Pick<Ending, "code" | "message" | "retryMs" | "error">): Ending {
    const now = this.#parts.clock.now();
    return {
      ...end,
      retryMs: this.#leave ? Math.max(end.retryMs ?? 0, this.#leave.at - now) : end.retryMs,
      url: this.#leave?.url,
      welcomed: this.#welcome !== null,
      useful: this.#useful || (this.#welcome !== null && now - this.#startedAt >= USEFUL_AFTER_MS),
      stalled: this.#stalled,
      ahead: this.#ahead,
      lastBatch: this.#sender?.lastBatch ?? 0,
    };
  }
}

function closed({ code, reason, msg, retry_ms }: Close): Pick<Ending, "code" | "message" | "retryMs"> {
  return { code, message: msg === undefined ? reason : `${reason}: ${msg}`, retryMs: retry_ms ?? null };
}
