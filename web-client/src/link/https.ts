import { Backoff } from "../backoff.js";
import { type Clock, systemClock } from "../clock.js";
import { LinkError } from "../errors/link-error.js";
import type { Bytes } from "../wire/bytes.js";
import { CloseCode } from "../wire/codes.js";
import type { Ack, ClientFrame, Close, Events, GatewayFrame, Hello } from "../wire/frames.js";
import { join } from "../wire/writer.js";
import { type Answer, type HttpAnswer, isTaken, judge, refusal } from "./answer.js";
import { readText } from "./body.js";
import type { Limits } from "./discovery.js";
import { Inbox } from "./inbox.js";
import type { Link, Open } from "./link.js";

/** What a link works with beside the network. */
export interface HttpsParts {
  readonly clock: Clock;
  /** Numbers in 0 (included) to 1 (excluded), for jitter. */
  readonly random: () => number;
}

const ANSWER_BYTES_MAX = 1024 * 1024;
/** The gateway answers within 30 s. */
const REQUEST_TIMEOUT_MS = 35_000;
/** A request that was given up is under way at the gateway for 30 s at most. */
const CONFLICTS_MAX = 40;
const PAUSE_MS = 1_000;
const LOSSY_MAX = 4;
const UNREAD_FRAMES_MAX = 256;
/** The longest time that timers know. */
const NEVER_MS = 2 ** 31 - 1;
const LINE_FEED = Uint8Array.of(0x0a);

/**
 * Sessions over plain requests, one at a time: HELLO asks where the numbering stands, EVENTS are bodies of NDJSON, PING asks whether
 * anybody is there. Opening asks nothing of the network.
 */
export function https(limits: Limits, parts: HttpsParts = { clock: systemClock, random: Math.random }): Open {
  return async (url, signal) => {
    if (signal.aborted) throw new LinkError("https: given up");
    return new HttpsLink(url, limits, parts);
  };
}

class HttpsLink implements Link {
  readonly name = "https";
  readonly frames = new Inbox<GatewayFrame>(UNREAD_FRAMES_MAX);
  readonly #url: URL;
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #gone = new AbortController();
  /** Headers that name the numbering. */
  #session: Readonly<Record<string, string>> = {};
  #token: string | undefined;
  /** As it was told last; `null` before WELCOME. */
  #ack: Ack | null = null;
  /** Frames one after the other. */
  #turn: Promise<void> = Promise.resolve();
  #cancelPause = () => {};
  #bodyBytesMax: number;
  #pinging = false;
  /** CLOSE has been told. */
  #bye = false;
  #lossy = 0;
  #lossyFrom = 0;

  constructor(url: URL, limits: Limits, { clock, random }: HttpsParts) {
    this.#url = url;
    this.#limits = limits;
    this.#clock = clock;
    this.#backoff = new Backoff(random);
    this.#bodyBytesMax = limits.max_body_bytes;
  }

  async send(frame: ClientFrame): Promise<void> {
    // The frame CLOSE says how the link has ended.
    if (this.#bye) return;
    try {
      this.#gone.signal.throwIfAborted();
      if (frame.type === "ping") await this.#ping(frame.body);
      else if (frame.type === "reauth") this.#token = frame.body.token;
      else if (frame.type !== "pong" && frame.type !== "report") {
        this.#turn = this.#turn.then(() => this.#converse(frame));
        await this.#turn;
      }
    } catch (error) {
      if (this.#bye) return;
      this.#end(error);
      throw error;
    }
  }

  sendLossy(payload: Bytes): boolean {
    const { aborted } = this.#gone.signal;
    const room = this.#lossy < LOSSY_MAX && this.#clock.now() >= this.#lossyFrom;
    if (aborted || !this.#ack || !room || payload.length > this.#limits.max_event_bytes) return false;
    void this.#sendLossy(payload);
    return true;
  }

  close(): void {
    this.#end();
  }

  #converse(frame: ClientFrame): Promise<void> {
    if (frame.type === "hello") return this.#hello(frame.body);
    if (frame.type === "events" && this.#ack) return this.#events(frame.body, this.#ack);
    if (frame.type === "close") throw this.#close({ code: CloseCode.done, reason: "done" });
    throw new LinkError(`HTTPS: no place for ${frame.type}`);
  }

  async #hello({ client = "", epoch = 0, next = 1, token }: Hello): Promise<void> {
    this.#token = token;
    this.#session = { "tidegate-client": client, "tidegate-epoch": `${epoch}` };
    const answer = await this.#ask(next, lines([]), 0);
    if (answer.kind === "busy") {
      const code = answer.reason === "draining" ? CloseCode.drain : CloseCode.overload;
      throw this.#close({ code, reason: answer.reason, retry_ms: answer.retryMs ?? PAUSE_MS });
    }
    if (answer.kind === "too_large") throw new LinkError("https: a body of nothing is too large");
    const { level, limit } = answer;
    // Asking gives nothing up: numbers that the client gave up are not settled there yet.
    const upto = Math.max(answer.upto, next - 1);
    const credit = { upto, level, limit, limit_bytes: Number.MAX_SAFE_INTEGER };
    this.#ack = { ...credit, reason: "ok", retry_ms: 0, list: [] };
    this.frames.push({
      type: "welcome",
      body: {
        ...this.#limits,
        ...credit,
        epoch,
        resumed: upto >= next,
        rej: [],
        // What was refused of the numbers settled meanwhile is not told to those who only ask.
        rej_more: upto >= next,
        ping_ms: NEVER_MS,
        max_frame_bytes: Math.min(this.#limits.max_frame_bytes, this.#bodyBytesMax),
        datagrams: false,
      },
    });
  }

  async #events({ first_seq, records }: Events, { upto }: Ack): Promise<void> {
    let first = first_seq;
    let payloads = records.map(({ payload }) => payload);
    // No events give up everything below: it is settled here, and the gateway hears of it by the next number.
    if (payloads.length === 0) this.#tell({ upto: Math.max(upto, first - 1) });
    while (payloads.length > 0) {
      const count = fitting(payloads, this.#bodyBytesMax);
      const body = lines(payloads.slice(0, count));
      const answer = await this.#ask(first, body, count);
      if (answer.kind === "busy") {
        await this.#wait(answer);
        continue;
      }
      if (answer.kind === "too_large" && count > 1) {
        this.#bodyBytesMax = body.length / 2;
        continue;
      }
      if (answer.kind === "settled") {
        this.#backoff.reset();
        const { upto, level, limit, list } = answer;
        this.#tell({ upto, level, limit, list });
      } else {
        this.#tell({ upto: first, list: [{ seq: first, code: "too_large", refused: true, message: "by HTTPS" }] });
      }
      payloads = payloads.slice(count);
      first += count;
    }
  }

  #tell(changes: Partial<Ack>): void {
    if (this.#ack) this.#ack = { ...this.#ack, reason: "ok", retry_ms: 0, list: [], ...changes };
    if (this.#ack) this.frames.push({ type: "ack", body: this.#ack });
  }

  #wait({ reason, retryMs }: Answer & { kind: "busy" }): Promise<void> {
    const retry_ms = Math.ceil(this.#backoff.next(retryMs));
    this.#tell({ reason, retry_ms });
    return this.#pause(retry_ms);
  }

  async #ping(body: Uint8Array): Promise<void> {
    if (this.#pinging) return;
    this.#pinging = true;
    // Without session headers it may overtake the request under way, and any word of the gateway is a sign of life.
    const answer = await this.#post(lines([]), {});
    if (!isTaken(answer)) refusal(answer);
    this.#pinging = false;
    this.frames.push({ type: "pong", body });
  }

  async #sendLossy(payload: Bytes): Promise<void> {
    this.#lossy += 1;
    try {
      const { status } = await this.#post(lines([payload]), { prefer: "respond-async" });
      if (status !== 202) this.#lossyFrom = this.#clock.now() + PAUSE_MS;
    } catch (error) {
      this.#end(error);
    }
    this.#lossy -= 1;
  }

  /** One request of the numbering, again while an earlier one of this client has not ended. */
  async #ask(first: number, body: Bytes, count: number): Promise<Exclude<Answer, { kind: "conflict" | "close" }>> {
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts += 1) {
      const answer = judge(await this.#post(body, { ...this.#session, "tidegate-seq": `${first}` }), first, count);
      if (answer.kind === "close") throw this.#close(answer.close);
      if (answer.kind !== "conflict") return answer;
      await this.#pause(PAUSE_MS);
    }
    throw new LinkError("https: another request of this client does not end");
  }

  async #post(body: Bytes, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    const cancelTimeout = this.#clock.after(REQUEST_TIMEOUT_MS, () =>
      this.#end(new LinkError("https: no answer in time")),
    );
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: {
          "content-type": "application/x-ndjson",
          ...(this.#token !== undefined && { authorization: `Bearer ${this.#token}` }),
          ...headers,
        },
        body,
        cache: "no-store",
        credentials: "omit",
        // The token is for this address alone.
        redirect: "manual",
        signal: this.#gone.signal,
      });
      const text = await readText(response, ANSWER_BYTES_MAX);
      return { status: response.status, body: text, retryAfter: response.headers.get("retry-after") };
    } catch (error) {
      throw LinkError.from("https", error);
    } finally {
      cancelTimeout();
    }
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(delayMs, resolve);
      this.#cancelPause = () => {
        cancel();
        reject(new LinkError("https: closed"));
      };
    });
  }

  /** Ends as a session that the gateway closes; returns what stops whatever is under way. */
  #close(close: Close): LinkError {
    this.#bye = true;
    this.frames.push({ type: "close", body: close });
    this.#end();
    return new LinkError("https: closed");
  }

  #end(error?: unknown): void {
    this.frames.end(error);
    this.#gone.abort(error ?? new LinkError("https: closed"));
    this.#cancelPause();
  }
}

/** How many go into one body, at least one. */
function fitting(payloads: readonly Uint8Array[], bytesMax: number): number {
  let bytes = 0;
  const count = payloads.findIndex(({ length }) => {
    bytes += length + 1;
    return bytes > bytesMax;
  });
  return count < 0 ? payloads.length : Math.max(count, 1);
}

/** NDJSON. The client's own events have no line feed inside. */
function lines(payloads: readonly Uint8Array[]): Bytes {
  return join(payloads.flatMap((payload) => [payload, LINE_FEED]));
}
