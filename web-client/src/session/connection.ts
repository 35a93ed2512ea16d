import type { LinkError as Broken } from "../errors/link-error.js";
import type { TidegateError as Failure } from "../errors/tidegate-error.js";
import type { Link, TransportName } from "../link/link.js";
import { CloseCode } from "../wire/close-code.js";
import type { Level, Reason } from "../wire/codes.js";
import type { ClientFrame, EventRecord, GatewayFrame, Verdict, Welcome } from "../wire/frames.js";
import type { RunParts } from "./lane.js";
import { newLiveness } from "./liveness.js";
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
export function connection(
  parts: RunParts,
  limits: FrameLimits,
  link: Link,
  token: string | undefined,
  opened: (connection: Connection, welcome: Welcome) => void,
): Connection {
  const { outbox, reporter, changed, platform, preference } = parts;
  const { clock, random } = platform;
  const { name } = link;
  const isHttps = name === "https";
  const startedAt = clock.now();
  const next = outbox.upto + 1;
  let sending: Sender | null = null;
  let paused = false;
  let useful = false;
  let finishing = false;
  /** When to leave, after GOAWAY, and where to. */
  let leaveAt = 0;
  let url: string | undefined;
  let reportIn = REPORT_FIRST_TICKS;
  let end: Pick<Ending, "error" | "code" | "retryMs"> | null = null;
  let reason: Reason = "ok";
  let cancelLeave = () => {};

  const isOpen = () => sending !== null && end === null;

  const over = (error: Failure, code?: number, retryMs?: number) => {
    end ??= { error, code, retryMs };
    link.close();
  };
  const stop = (message = "the connection ended") => over(new TidegateError(message));
  const fail = (error: unknown) => {
    const failure = LinkError.from(name, error);
    // A WebSocket may bring the code of a CLOSE that was not seen; others are its own.
    const { code = 0 } = failure as Partial<Broken>;
    over(failure, code >= CloseCode.drain ? code : undefined);
  };

  /** A link that does not take frames is at its end, whatever its other direction does. */
  const send = (frame: ClientFrame): Promise<boolean> =>
    link.send(frame).then(
      () => true,
      (error) => {
        fail(error);
        return false;
      },
    );

  const report = async () => {
    if (!isHttps) await reporter?.tell((body) => send({ type: "report", body }));
  };

  const liveness = newLiveness({
    clock,
    isHttps,
    waits: () => outbox.length > 0,
    ping: () => {
      if (isOpen()) void send({ type: "ping", body: new Uint8Array(0) });
    },
    silent: (excused) => {
      if (!excused) preference.stalled(name);
      stop("the gateway fell silent");
    },
    ticked: () => {
      if (!isOpen() || finishing || --reportIn > 0) return;
      reportIn = REPORT_TICKS;
      void report();
    },
  });

  /** False where that settles what was never sent: our numbers were given out before, and are of no use any more. */
  const settle = (upto: number, level: Level, verdicts: readonly Verdict[], settled = upto, knownFrom = 0) => {
    const { everSent } = outbox;
    if (upto > everSent) {
      over(new FrameError(`the gateway settles up to ${upto}, at most ${everSent} was sent`), CloseCode.stale_epoch);
      return false;
    }
    for (const verdict of verdicts) outbox.judge(verdict);
    if (outbox.settle(settled, level, knownFrom) > 0 && !useful) {
      useful = true;
      preference.won(name);
    }
    return true;
  };

  const welcomed = (welcome: Welcome) => {
    const { epoch, upto, level, rej, rej_more } = welcome;
    if (sending || epoch !== outbox.epoch || upto < next - 1) {
      throw new FrameError(`WELCOME out of place: epoch ${epoch}, up to ${upto}`);
    }
    // A carrier that knows nothing of refusals learns of them by sending again.
    const settled = rej_more && rej.length === 0 ? next - 1 : upto;
    const knownFrom = rej_more ? Math.min(upto + 1, ...rej.map(({ seq }) => seq)) : 0;
    if (!settle(upto, level, rej, settled, knownFrom)) return;
    liveness.quiet(welcome.ping_ms);
    sending = sender(parts, limits, welcome, settled, send, () => end || paused || finishing || leaveAt);
    opened(self, welcome);
    sending.pump();
  };

  const receive = ({ type, body }: Exclude<GatewayFrame, { type: "unknown" }>) => {
    liveness.heard();
    if (end) return;
    switch (type) {
      case "welcome":
        welcomed(body);
        break;
      case "ack":
        if (!sending) throw new FrameError("ACK before WELCOME");
        if (!settle(body.upto, body.level, body.list)) return;
        reason = body.reason;
        changed();
        sending.acknowledged(body);
        break;
      case "ping":
        void send({ type: "pong", body });
        break;
      case "goaway": {
        if (leaveAt || finishing) break;
        const leaveMs = body.after_ms + random() * body.jitter_ms;
        leaveAt = clock.now() + leaveMs;
        url = body.url;
        cancelLeave = clock.after(leaveMs, () => stop("the gateway asked to reconnect"));
        break;
      }
      case "close":
        over(new TidegateError(body.reason + (body.msg ? `: ${body.msg}` : "")), body.code, body.retry_ms);
    }
    if (sending) liveness.quiet();
  };

  const run = async (): Promise<Ending> => {
    try {
      const ended = link.run(receive as (frame: GatewayFrame) => void);
      const { client, epoch } = outbox;
      void send({
        type: "hello",
        body: { v: 1, client, token, epoch, next, sent_at: platform.now(), sdk: SDK },
      });
      await ended;
    } catch (error) {
      fail(error);
    }
    stop();
    liveness.stop();
    cancelLeave();
    sending?.stop();
    const { error, code, retryMs = 0 } = end as unknown as Ending;
    if (code === CloseCode.too_large) sending?.shrink();
    const now = clock.now();
    return {
      error,
      code,
      retryMs: Math.max(retryMs ?? 0, leaveAt - now),
      url,
      welcomed: sending !== null,
      useful: useful || (sending !== null && now - startedAt >= USEFUL_AFTER_MS),
    };
  };

  const self: Connection = {
    name,
    get reason() {
      return reason;
    },
    ended: Promise.resolve().then(run),
    isOpen,
    // Requests under way end with the page.
    handed: () => isOpen() && (isHttps ? outbox.length === 0 : sending?.done() === true),
    stored: () => sending?.stored(),
    pump: () => sending?.pump(),
    probe: liveness.probe,
    pause: (value) => {
      paused = value;
      if (!paused) sending?.pump();
    },
    reauth: (token) => {
      if (isOpen()) void send({ type: "reauth", body: { token } });
    },
    sendLossy: (record) => isOpen() && link.sendLossy(record),
    finish: async () => {
      if (finishing) return;
      finishing = true;
      cancelLeave();
      // Before anything that a link may hold up.
      cancelLeave = clock.after(FINISH_TIMEOUT_MS, () => stop());
      await report();
      void send({ type: "close", body: { code: CloseCode.done, reason: "done" } });
    },
    stop: () => stop(),
  };
  return self;
}
