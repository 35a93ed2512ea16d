import type { Backoff } from "../backoff.js";
import type { Clock } from "../clock.js";
import { CloseCode } from "../wire/close-code.js";
import type { Ack, ClientFrame, Close, EventRecord, Events, GatewayFrame, Hello } from "../wire/frames.js";
import { isTaken, judge, type Refusal, refusal, type Settled } from "./answer.js";
import { limitsOf } from "./limits.js";
import type { Link } from "./link.js";
import { numbering, post } from "./post.js";
import type { ask, HttpAnswer } from "./request.js";

// This and what it imports is loaded when it is needed. What it shares with the rest of the client is given to it: else there would be
// a third file, of what both import.
export { farewell } from "./farewell.js";

/** What a link works with beside the network. */
export interface HttpsParts {
  readonly ask: typeof ask;
  readonly clock: Clock;
  readonly backoff: Pick<Backoff, "next" | "reset">;
}

const ANSWER_BYTES_MAX = 1024 * 1024;
/** The gateway answers within 30 s. */
const REQUEST_TIMEOUT_MS = 35_000;
/** A request that was given up is under way at the gateway for 30 s at most. */
const CONFLICTS_MAX = 40;
const PAUSE_MS = 1_000;
const LOSSY_MAX = 4;
/** The longest time that timers know. */
const NEVER_MS = 2 ** 31 - 1;

/**
 * A session over plain requests, one at a time: HELLO asks where the numbering stands, EVENTS are bodies of NDJSON, PING asks whether
 * anybody is there. Opening asks nothing of the network. `told`: limits of the gateway, as it says.
 */
export function https(url: URL, told: unknown, { ask, clock, backoff }: HttpsParts): Link {
  const limits = limitsOf(told);
  const gone = new AbortController();
  const closed = new Error("https: closed");
  let receive: (frame: GatewayFrame) => void = () => {};
  let cancelPause = () => {};
  let token: string | undefined;
  let [client, epoch] = ["", 0];
  /** As it was told last; `null` before WELCOME. */
  let ack: Ack | null = null;
  /** Frames one after the other. */
  let turn = Promise.resolve();
  let bodyBytesMax = limits.max_body_bytes;
  let pinging = false;
  let lossy = 0;
  let lossyFrom = 0;

  const end = (error: unknown) => {
    gone.abort(error);
    cancelPause();
  };

  const pause = (delayMs: number) =>
    new Promise<void>((resolve, reject) => {
      const cancel = clock.after(delayMs, resolve);
      cancelPause = () => {
        cancel();
        reject(closed);
      };
    });

  const request = async (records: readonly EventRecord[], headers: Readonly<Record<string, string>>) => {
    const { signal } = gone;
    signal.throwIfAborted();
    const cancelTimeout = clock.after(REQUEST_TIMEOUT_MS, () => end(new Error("https: no answer in time")));
    try {
      return await ask(url, { ...post(records, token, headers), signal }, ANSWER_BYTES_MAX);
    } finally {
      cancelTimeout();
    }
  };

  /** Ends as a session that the gateway closes: throws, to stop whatever is under way. */
  const close = (body: Close): never => {
    receive({ type: "close", body });
    end(closed);
    throw closed;
  };

  /** One request of the numbering, again while an earlier one of this client has not ended. */
  const settle = async (first: number, records: readonly EventRecord[]) => {
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts += 1) {
      const answer: HttpAnswer = await request(records, numbering(client, epoch, first));
      const said: Settled | Refusal = isTaken(answer) ? judge(answer, first, records.length) : refusal(answer);
      if (said.kind === "close") close(said.close);
      else if (said.kind !== "conflict") return said;
      await pause(PAUSE_MS);
    }
    throw new Error("https: another request of this client does not end");
  };

  const tell = (changes: Partial<Ack>) => {
    if (ack) ack = { ...ack, reason: "ok", retry_ms: 0, list: [], ...changes };
    if (ack) receive({ type: "ack", body: ack });
  };

  const greet = async (hello: Hello) => {
    const { next = 1 } = hello;
    ({ token, client = "", epoch = 0 } = hello);
    const answer = await settle(next, []);
    if (answer.kind === "busy") {
      const code = answer.reason === "draining" ? CloseCode.drain : CloseCode.overload;
      return close({ code, reason: answer.reason, retry_ms: answer.retryMs ?? PAUSE_MS });
    }
    if (answer.kind === "too_large") throw new Error("https: a body of nothing is too large");
    const { level, limit } = answer;
    // Asking gives nothing up: numbers that the client gave up are not settled there yet.
    const upto = Math.max(answer.upto, next - 1);
    const credit = { upto, level, limit, limit_bytes: Number.MAX_SAFE_INTEGER };
    ack = { ...credit, reason: "ok", retry_ms: 0, list: [] };
    receive({
      type: "welcome",
      body: {
        ...limits,
        ...credit,
        epoch,
        resumed: upto >= next,
        rej: [],
        // What was refused of the numbers settled meanwhile is not told to those who only ask.
        rej_more: upto >= next,
        ping_ms: NEVER_MS,
        max_frame_bytes: Math.min(limits.max_frame_bytes, bodyBytesMax),
        datagrams: false,
      },
    });
  };

  const sendEvents = async ({ first_seq, records }: Events, { upto }: Ack) => {
    let first = first_seq;
    let left = records;
    // No events give up everything below: it is settled here, and the gateway hears of it by the next number.
    if (left.length === 0) tell({ upto: Math.max(upto, first - 1) });
    while (left.length > 0) {
      const some = left.slice(0, fitting(left, bodyBytesMax));
      const answer = await settle(first, some);
      if (answer.kind === "busy") {
        const { reason, retryMs } = answer;
        const retry_ms = Math.ceil(backoff.next(retryMs));
        tell({ reason, retry_ms });
        await pause(retry_ms);
        continue;
      }
      if (answer.kind === "too_large" && some.length > 1) {
        bodyBytesMax = bytesOf(some) / 2;
        continue;
      }
      if (answer.kind === "settled") {
        backoff.reset();
        const { upto, level, limit, list } = answer;
        tell({ upto, level, limit, list });
      } else tell({ upto: first, list: [{ seq: first, code: "too_large", refused: true, message: "by HTTPS" }] });
      left = left.slice(some.length);
      first += some.length;
    }
  };

  const ping = async (body: Uint8Array) => {
    if (pinging) return;
    pinging = true;
    // Without session headers it may overtake the request under way, and any word of the gateway is a sign of life.
    const answer = await request([], {});
    if (!isTaken(answer)) refusal(answer);
    pinging = false;
    receive({ type: "pong", body });
  };

  const converse = async (frame: ClientFrame) => {
    if (frame.type === "hello") await greet(frame.body);
    else if (frame.type === "close") close({ code: CloseCode.done, reason: "done" });
    else if (frame.type === "events" && ack) await sendEvents(frame.body, ack);
  };

  const sendLossy = async (record: EventRecord) => {
    lossy += 1;
    try {
      const { status } = await request([record], { prefer: "respond-async" });
      if (status !== 202) lossyFrom = clock.now() + PAUSE_MS;
    } catch (error) {
      end(error);
    }
    lossy -= 1;
  };

  return {
    name: "https",
    run: (receiver) =>
      new Promise((resolve, reject) => {
        const ended = () => (gone.signal.reason === closed ? resolve() : reject(gone.signal.reason));
        if (gone.signal.aborted) return ended();
        gone.signal.onabort = ended;
        receive = (frame) => {
          if (!gone.signal.aborted) receiver(frame);
        };
      }),
    send: async (frame) => {
      const { type, body } = frame;
      try {
        gone.signal.throwIfAborted();
        if (type === "ping") await ping(body);
        else if (type === "reauth") token = body.token;
        // The gateway takes no reports of requests.
        else if (type !== "pong" && type !== "report") {
          turn = turn.then(() => converse(frame));
          await turn;
        }
      } catch (error) {
        end(error);
        throw error;
      }
    },
    sendLossy: (record) => {
      const room = lossy < LOSSY_MAX && clock.now() >= lossyFrom;
      if (gone.signal.aborted || !ack || !room || record.bytes > limits.max_event_bytes) return false;
      void sendLossy(record);
      return true;
    },
    close: () => end(closed),
  };
}

/** How many go into one body, at least one. */
function fitting(records: readonly EventRecord[], bytesMax: number): number {
  let total = 0;
  const count = records.findIndex(({ bytes }) => {
    total += bytes + 1;
    return total > bytesMax;
  });
  return count < 0 ? records.length : Math.max(count, 1);
}

/** Of a body. */
function bytesOf(records: readonly EventRecord[]): number {
  return records.reduce((total, { bytes }) => total + bytes + 1, 0);
}
