import type { LinkError as Broken } from "../errors/link-error.js";
import type { TidegateError as Failure } from "../errors/tidegate-error.js";
import type { Link, TransportName } from "../link/link.js";
import { CloseCode } from "../wire/close-code.js";
import type { Level, Reason } from "../wire/codes.js";
import type { ClientFrame, EventRecord, GatewayFrame, Goaway, Verdict, Welcome } from "../wire/frames.js";
import type { RunParts } from "./lane.js";
import { type Liveness, newLiveness } from "./liveness.js";
import { type FrameLimits, type Sender, sender } from "./sender.js";
import { FrameError, LinkError, TidegateError } from "./shared.js";
import { FINISH_TIMEOUT_MS, REPORT_FIRST_TICKS, REPORT_TICKS, USEFUL_AFTER_MS } from "./timing.js";

/** How a connection ended, and what that means for the next one. */
export interface Ending {
  /** What ended it. */
  readonly error: Failure;
  /** CLOSE code of the protocol, where one came. */
  readonly code?: number | undefined;
  /** The gateway asked for this wait. */
  readonly retryMs?: number | null | undefined;
  /** Where the gateway sent us. */
  readonly url?: string | undefined;
  /** Whether the gateway had answered HELLO. */
  readonly welcomed?: boolean;
  /** Whether it settled events or at least lasted, so that trying again soon is worth it. */
  readonly useful?: boolean;
}

/** One link from HELLO to its end: sends what waits in the outbox and settles what is acknowledged. */
export interface Connection {
  /** What carries it. */
  readonly name: TransportName;
  /** Why the gateway holds credit back. */
  readonly reason: Reason;
  /** Never rejects: every way to end is an `Ending`. */
  readonly ended: Promise<Ending>;
  /** Whether events may travel: the gateway has answered HELLO and nothing has ended. */
  isOpen(): boolean;
  /** Whether everything that may be sent has been handed to the link and travels on even if the page ends. */
  handed(): boolean;
  /** There is something new in the outbox. */
  stored(): void;
  /** Sends what may be sent, now. */
  pump(): void;
  /** Asks at once whether the gateway is still there, after something that links do not always survive. */
  probe(): void;
  /** Sends no events until told otherwise; acknowledgements still count. */
  pause(paused: boolean): void;
  /** Replaces the session's token. */
  reauth(token: string): void;
  /** As `Link.sendLossy`. */
  sendLossy(record: EventRecord): boolean;
  /** Sends no more events, says CLOSE `done`, and waits a little for the gateway's. */
  finish(): void;
  /** Ends at once. */
  stop(): void;
}

const SDK = "tidegate-js/0.1.0";

/** Says HELLO over `link`. `opened` is called with WELCOME. */
export class Conversation implements Connection {
  readonly name: TransportName;
  readonly ended: Promise<Ending>;
  reason: Reason = "ok";
  readonly #parts: RunParts;
  readonly #limits: FrameLimits;
  readonly #link: Link;
  readonly #opened: (connection: Connection, welcome: Welcome) => void;
  readonly #startedAt: number;
  readonly #next: number;
  readonly #liveness: Liveness;
  #sending: Sender | null = null;
  #paused = false;
  #useful = false;
  #finishing = false;
  /** When to leave, after GOAWAY, and where to. */
  #leaveAt = 0;
  #url: string | undefined;
  #reportIn = REPORT_FIRST_TICKS;
  #end: Pick<Ending, "error" | "code" | "retryMs"> | null = null;
  #cancelLeave = () => {};

  constructor(
    parts: RunParts,
    limits: FrameLimits,
    link: Link,
    token: string | undefined,
    opened: (connection: Connection, welcome: Welcome) => void,
  ) {
    const { outbox, platform, preference } = parts;
    const { clock } = platform;
    const { name } = link;
    this.name = name;
    this.#parts = parts;
    this.#limits = limits;
    this.#link = link;
    this.#opened = opened;
    this.#startedAt = clock.now();
    this.#next = outbox.upto + 1;
    this.#liveness = newLiveness({
      clock,
      isHttps: name === "https",
      waits: () => outbox.length > 0,
      ping: () => {
        if (this.isOpen()) void this.#send({ type: "ping", body: new Uint8Array(0) });
      },
      silent: (excused) => {
        if (!excused) preference.stalled(name);
        this.stop("the gateway fell silent");
      },
      ticked: () => {
        if (!this.isOpen() || this.#finishing || --this.#reportIn > 0) return;
        this.#reportIn = REPORT_TICKS;
        void this.#report();
      },
    });
    this.ended = Promise.resolve().then(() => this.#run(token));
  }

  isOpen(): boolean {
    return this.#sending !== null && this.#end === null;
  }

  handed(): boolean {
    // Requests under way end with the page.
    const handed = this.name === "https" ? this.#parts.outbox.length === 0 : this.#sending?.done();
    return this.isOpen() && handed === true;
  }

  stored(): void {
    this.#sending?.stored();
  }

  pump(): void {
    this.#sending?.pump();
  }

  probe(): void {
    this.#liveness.probe();
  }

  pause(paused: boolean): void {
    this.#paused = paused;
    if (!paused) this.pump();
  }

  reauth(token: string): void {
    if (this.isOpen()) void this.#send({ type: "reauth", body: { token } });
  }

  sendLossy(record: EventRecord): boolean {
    return this.isOpen() && this.#link.sendLossy(record);
  }

  async finish(): Promise<void> {
    if (this.#finishing) return;
    this.#finishing = true;
    this.#cancelLeave();
    // Before anything that a link may hold up.
    this.#cancelLeave = this.#parts.platform.clock.after(FINISH_TIMEOUT_MS, () => this.stop());
    await this.#report();
    void this.#send({ type: "close", body: { code: CloseCode.done, reason: "done" } });
  }

  stop(message = "the connection ended"): void {
    this.#over(new TidegateError(message));
  }

  async #run(token: string | undefined): Promise<Ending> {
    const { outbox, platform } = this.#parts;
    try {
      const ended = this.#link.run((frame) => this.#receive(frame as Known));
      const { client, epoch } = outbox;
      void this.#send({
        type: "hello",
        body: { v: 1, client, token, epoch, next: this.#next, sent_at: platform.now(), sdk: SDK },
      });
      await ended;
    } catch (error) {
      this.#fail(error);
    }
    this.stop();
    this.#liveness.stop();
    this.#cancelLeave();
    const sending = this.#sending;
    sending?.stop();
    const { error, code, retryMs = 0 } = this.#end as unknown as Ending;
    if (code === CloseCode.too_large) sending?.shrink();
    const now = platform.clock.now();
    return {
      error,
      code,
      retryMs: Math.max(retryMs ?? 0, this.#leaveAt - now),
      url: this.#url,
      welcomed: sending !== null,
      useful: this.#useful || (sending !== null && now - this.#startedAt >= USEFUL_AFTER_MS),
    };
  }

  #receive({ type, body }: Known): void {
    this.#liveness.heard();
    if (this.#end) return;
    switch (type) {
      case "welcome":
        this.#welcomed(body);
        break;
      case "ack":
        if (!this.#sending) throw new FrameError("ACK before WELCOME");
        if (!this.#settle(body.upto, body.level, body.list)) return;
        this.reason = body.reason;
        this.#parts.changed();
        this.#sending.acknowledged(body);
        break;
      case "ping":
        void this.#send({ type: "pong", body });
        break;
      case "goaway":
        this.#leave(body);
        break;
      case "close":
        this.#over(new TidegateError(body.reason + (body.msg ? `: ${body.msg}` : "")), body.code, body.retry_ms);
    }
    if (this.#sending) this.#liveness.quiet();
  }

  #welcomed(welcome: Welcome): void {
    const { epoch, upto, level, rej, rej_more } = welcome;
    if (this.#sending || epoch !== this.#parts.outbox.epoch || upto < this.#next - 1) {
      throw new FrameError(`WELCOME out of place: epoch ${epoch}, up to ${upto}`);
    }
    // A carrier that knows nothing of refusals learns of them by sending again.
    const settled = rej_more && rej.length === 0 ? this.#next - 1 : upto;
    const knownFrom = rej_more ? Math.min(upto + 1, ...rej.map(({ seq }) => seq)) : 0;
    if (!this.#settle(upto, level, rej, settled, knownFrom)) return;
    this.#liveness.quiet(welcome.ping_ms);
    const send = (frame: ClientFrame) => this.#send(frame);
    const held = () => this.#end || this.#paused || this.#finishing || this.#leaveAt;
    this.#sending = sender(this.#parts, this.#limits, welcome, settled, send, held);
    this.#opened(this, welcome);
    this.#sending.pump();
  }

  /** False where that settles what was never sent: our numbers were given out before, and are of no use any more. */
  #settle(upto: number, level: Level, verdicts: readonly Verdict[], settled = upto, knownFrom = 0): boolean {
    const { outbox, preference } = this.#parts;
    const { everSent } = outbox;
    if (upto > everSent) {
      const message = `the gateway settles up to ${upto}, at most ${everSent} was sent`;
      this.#over(new FrameError(message), CloseCode.stale_epoch);
      return false;
    }
    for (const verdict of verdicts) outbox.judge(verdict);
    if (outbox.settle(settled, level, knownFrom) > 0 && !this.#useful) {
      this.#useful = true;
      preference.won(this.name);
    }
    return true;
  }

  #leave({ after_ms, jitter_ms, url }: Goaway): void {
    if (this.#leaveAt || this.#finishing) return;
    const { clock, random } = this.#parts.platform;
    const leaveMs = after_ms + random() * jitter_ms;
    this.#leaveAt = clock.now() + leaveMs;
    this.#url = url;
    this.#cancelLeave = clock.after(leaveMs, () => this.stop("the gateway asked to reconnect"));
  }

  async #report(): Promise<void> {
    if (this.name !== "https") await this.#parts.reporter?.tell((body) => this.#send({ type: "report", body }));
  }

  /** A link that does not take frames is at its end, whatever its other direction does. */
  #send(frame: ClientFrame): Promise<boolean> {
    return this.#link.send(frame).then(
      () => true,
      (error) => {
        this.#fail(error);
        return false;
      },
    );
  }

  #fail(error: unknown): void {
    const failure = LinkError.from(this.name, error);
    // A WebSocket may bring the code of a CLOSE that was not seen; others are its own.
    const { code = 0 } = failure as Partial<Broken>;
    this.#over(failure, code >= CloseCode.drain ? code : undefined);
  }

  #over(error: Failure, code?: number, retryMs?: number): void {
    this.#end ??= { error, code, retryMs };
    this.#link.close();
  }
}

/** Frames that this version knows. */
type Known = Exclude<GatewayFrame, { type: "unknown" }>;
