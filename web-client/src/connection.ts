import { takeBatch } from "./batch.js";
import type { Clock } from "./clock.js";
import { Credit } from "./credit.js";
import { FrameError } from "./errors/frame-error.js";
import { LinkError } from "./errors/link-error.js";
import type { Link } from "./link/link.js";
import { Liveness } from "./liveness.js";
import type { EventQueue } from "./queue.js";
import { CloseCode, type Reason } from "./wire/codes.js";
import type { Ack, ClientFrame, Close, GatewayFrame, Goaway, Hello, Welcome } from "./wire/frames.js";

/** How a connection ended, and what that means for the next one. */
export interface Ending {
  /** CLOSE code of the protocol, `null` where none came. */
  readonly code: number | null;
  /** For people. */
  readonly message: string;
  /** The gateway asked for this wait. */
  readonly retryMs: number | null;
  /** Whether the gateway had answered HELLO. */
  readonly welcomed: boolean;
  /** Whether it settled events or at least lasted, so that trying again soon is worth it. */
  readonly useful: boolean;
}

/** Whom a connection tells. */
export interface ConnectionListener {
  welcomed(welcome: Welcome): void;
  /** Why the gateway holds credit back, with every acknowledgement. */
  acknowledged(reason: Reason): void;
}

/** What a connection works with. */
export interface ConnectionParts {
  readonly link: Link;
  readonly queue: EventQueue;
  readonly clock: Clock;
  readonly random: () => number;
  readonly listener: ConnectionListener;
}

const TICK_MS = 1_000;
const WELCOME_TIMEOUT_MS = 5_000;
const USEFUL_AFTER_MS = 30_000;
const FINISH_TIMEOUT_MS = 5_000;
const FIRST_CLOSE_CODE = 4000;
const PING_BODY = new Uint8Array(0);

/** One link from HELLO to its end: sends what waits in the queue and settles what is acknowledged. */
export class Connection {
  readonly #parts: ConnectionParts;
  readonly #liveness: Liveness;
  readonly #startedAt: number;
  #welcome: Welcome | null = null;
  #credit: Credit | null = null;
  /** Next number to send on this link. */
  #cursor = 0;
  #pumping = false;
  #useful = false;
  /** When to leave, after GOAWAY. */
  #leaveAt: number | null = null;
  #finishing = false;
  #end: Pick<Ending, "code" | "message" | "retryMs"> | null = null;
  readonly #timers = new Set<() => void>();

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.#startedAt = parts.clock.now();
    this.#liveness = new Liveness(this.#startedAt);
  }

  /** Says `hello` and stays until the link ends. Never rejects: every way to end is an `Ending`. */
  async run(hello: Hello): Promise<Ending> {
    this.#tick();
    void this.#send({ type: "hello", body: hello });
    try {
      for await (const frame of this.#parts.link.frames) {
        this.#liveness.heard(this.#parts.clock.now());
        this.#receive(frame, hello);
        if (this.#end) break;
      }
    } catch (error) {
      this.#fail(error);
    }
    for (const cancel of this.#timers) cancel();
    this.#parts.link.close();
    return this.#ending();
  }

  /** There is something new to send. */
  wake(): void {
    void this.#pump();
  }

  /** Sends nothing more, says CLOSE `done`, and waits a little for the last acknowledgement. */
  finish(): void {
    if (this.#finishing) return;
    this.#finishing = true;
    if (!this.#welcome) {
      this.stop("closed before the gateway answered");
      return;
    }
    const body: Close = { code: CloseCode.done, reason: "done" };
    void this.#send({ type: "close", body });
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
        void this.#send({ type: "pong", body: frame.body });
        return;
      case "goaway":
        this.#leave(frame.body);
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
    const { queue, listener } = this.#parts;
    if (this.#welcome) throw new FrameError("a second WELCOME");
    if (hello.epoch !== undefined && welcome.epoch !== hello.epoch) {
      throw new FrameError(`WELCOME of epoch ${welcome.epoch}, asked for ${hello.epoch}`);
    }
    this.#requireKnown("WELCOME", welcome.upto);
    if (welcome.upto < queue.upto) {
      throw new FrameError(`WELCOME goes back to ${welcome.upto}, ${queue.upto} were settled`);
    }
    this.#welcome = welcome;
    this.#credit = new Credit(welcome.limit, welcome.limit_bytes);
    this.#cursor = welcome.upto + 1;
    for (const verdict of welcome.rej) queue.judge(verdict);
    const knownFrom = welcome.rej_more ? Math.min(welcome.upto + 1, ...welcome.rej.map(({ seq }) => seq)) : 0;
    queue.settle(welcome.upto, welcome.level, knownFrom);
    listener.welcomed(welcome);
    this.wake();
  }

  #acknowledged(ack: Ack): void {
    const { queue, listener } = this.#parts;
    if (!this.#credit) throw new FrameError("ACK before WELCOME");
    this.#requireKnown("ACK", ack.upto);
    for (const verdict of ack.list) queue.judge(verdict);
    if (queue.settle(ack.upto, ack.level) > 0) this.#useful = true;
    // A number that another connection had sent may be settled here before it is sent again.
    this.#cursor = Math.max(this.#cursor, ack.upto + 1);
    this.#credit.extend(ack.limit, ack.limit_bytes);
    listener.acknowledged(ack.reason);
    this.wake();
  }

  #requireKnown(frame: string, upto: number): void {
    const { last } = this.#parts.queue;
    if (upto > last) throw new FrameError(`${frame} settles up to ${upto}, the last event is ${last}`);
  }

  #leave({ after_ms, jitter_ms }: Goaway): void {
    const { clock, random } = this.#parts;
    if (this.#leaveAt !== null) return;
    const delayMs = after_ms + random() * jitter_ms;
    this.#leaveAt = clock.now() + delayMs;
    this.#after(delayMs, () => this.stop("the gateway asked to reconnect"));
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    for (let frame = this.#nextFrame(); frame; frame = this.#nextFrame()) await this.#send(frame);
    this.#pumping = false;
  }

  #nextFrame(): ClientFrame | null {
    const { queue } = this.#parts;
    if (!this.#welcome || !this.#credit || this.#end || this.#finishing || this.#leaveAt !== null) return null;
    const limits = { events: this.#welcome.max_batch_events, frameBytes: this.#welcome.max_frame_bytes };
    const batch = takeBatch(queue.from(this.#cursor), queue.upto, this.#credit, limits);
    if (batch.kind === "none") return null;
    if (batch.kind === "oversized") {
      const { seq, payload } = batch.event;
      const message = `${payload.length} bytes fit no frame of ${limits.frameBytes}`;
      queue.judge({ seq, code: "too_large", refused: true, message });
      this.#cursor = seq + 1;
      return { type: "events", body: { first_seq: seq + 1, records: [] } };
    }
    const first_seq = this.#cursor;
    this.#cursor += batch.events.length;
    this.#credit.spend(batch.payloadBytes);
    const records = batch.events.map(({ payload }) => ({ alias: 0, payload }));
    return { type: "events", body: { first_seq, records } };
  }

  /** A link that does not take frames is at its end, whatever its other direction does. */
  async #send(frame: ClientFrame): Promise<void> {
    try {
      await this.#parts.link.send(frame);
    } catch (error) {
      this.#fail(error);
      this.#parts.link.close();
    }
  }

  #tick(): void {
    const { clock, queue } = this.#parts;
    this.#after(TICK_MS, () => {
      const now = clock.now();
      if (!this.#welcome && now - this.#startedAt >= WELCOME_TIMEOUT_MS) {
        this.stop(`the gateway did not answer within ${WELCOME_TIMEOUT_MS / 1000} s`);
        return;
      }
      const verdict = this.#liveness.check(now, this.#welcome !== null && queue.length > 0);
      if (verdict === "dead") {
        this.stop("the gateway fell silent");
        return;
      }
      if (verdict === "ping") void this.#send({ type: "ping", body: PING_BODY });
      this.#tick();
    });
  }

  #after(delayMs: number, run: () => void): void {
    const cancel = this.#parts.clock.after(delayMs, () => {
      this.#timers.delete(cancel);
      run();
    });
    this.#timers.add(cancel);
  }

  #fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    const code = error instanceof LinkError && (error.code ?? 0) >= FIRST_CLOSE_CODE ? (error.code ?? null) : null;
    this.#end ??= { code, message, retryMs: null };
  }

  #ending(): Ending {
    const { code, message, retryMs } = this.#end ?? { code: null, message: "the connection ended", retryMs: null };
    const now = this.#parts.clock.now();
    const leaveMs = this.#leaveAt === null ? null : Math.max(0, this.#leaveAt - now);
    return {
      code,
      message,
      retryMs: retryMs ?? leaveMs,
      welcomed: this.#welcome !== null,
      useful: this.#useful || (this.#welcome !== null && now - this.#startedAt >= USEFUL_AFTER_MS),
    };
  }
}

function closed({ code, reason, msg, retry_ms }: Close): Pick<Ending, "code" | "message" | "retryMs"> {
  return { code, message: msg === undefined ? reason : `${reason}: ${msg}`, retryMs: retry_ms ?? null };
}
