import { Backoff } from "../backoff.js";
import { type Clock, systemClock } from "../clock.js";
import { LinkError } from "../errors/link-error.js";
import type { Bytes } from "../wire/bytes.js";
import { CloseCode } from "../wire/codes.js";
import type { Ack, ClientFrame, Close, Events, GatewayFrame, Hello } from "../wire/frames.js";
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

/** Small bodies are answered sooner; with a backlog they grow up to the limit. */
const BODY_BYTES_PREFERRED = 64 * 1024;
const BODY_BYTES_MAX = 4 * 1024 * 1024;
const ANSWER_BYTES_MAX = 1024 * 1024;
/** The gateway answers within 30 s. */
const REQUEST_TIMEOUT_MS = 35_000;
/** A request that was given up is under way at the gateway for 30 s at most. */
const CONFLICTS_MAX = 40;
const PAUSE_MS = 1_000;
const LOSSY_MAX = 4;
const LINE_FEED = 0x0a;
const SPACE = 0x20;
const UNREAD_FRAMES_MAX = 256;
/** Nothing is ever idle here: the longest time that timers know. */
const NEVER_MS = 2 ** 31 - 1;

/**
 * Sessions over plain requests, one at a time: HELLO asks where the numbering stands, EVENTS gathers events into bodies of NDJSON, PING
 * asks whether anybody is there. Opening asks nothing of the network.
 */
export function https(limits: Limits, parts: HttpsParts = { clock: systemClock, random: Math.random }): Open {
  return async (url, signal) => {
    if (signal.aborted) throw new LinkError("HTTPS: given up before it began");
    return new HttpsLink(url, limits, parts);
  };
}

class HttpsLink implements Link {
  readonly name = "https";
  readonly frames = new Inbox<GatewayFrame>(UNREAD_FRAMES_MAX);
  readonly #url: URL;
  readonly #limits: Limits;
  readonly #parts: HttpsParts;
  readonly #backoff: Backoff;
  /** Ends whatever is under way. */
  readonly #cancels = new Set<() => void>();
  #over = false;
  #token: string | undefined;
  /** What names the numbering; `null` before HELLO. */
  #session: Readonly<Record<string, string>> | null = null;
  /** As it was told last; `null` before WELCOME. */
  #ack: Ack | null = null;
  /** Events in a row that are not settled; the request under way has the first of them. */
  readonly #queue: Uint8Array[] = [];
  #first = 1;
  #queueBytes = 0;
  #running = false;
  #waiters: (() => void)[] = [];
  /** Bytes of the next body, and the most that was not refused. */
  #bodyBytes: number;
  #bodyBytesMax: number;
  #pinging = false;
  #lossy = 0;

  constructor(url: URL, limits: Limits, parts: HttpsParts) {
    this.#url = url;
    this.#limits = limits;
    this.#parts = parts;
    this.#backoff = new Backoff(parts.random);
    this.#bodyBytesMax = Math.min(limits.max_body_bytes, BODY_BYTES_MAX);
    this.#bodyBytes = Math.min(BODY_BYTES_PREFERRED, this.#bodyBytesMax);
  }

  async send(frame: ClientFrame): Promise<void> {
    this.#requireOpen();
    switch (frame.type) {
      case "hello":
        this.#background(this.#greet(frame.body));
        return;
      case "events":
        return this.#events(frame.body);
      case "ping":
        if (!this.#pinging) this.#background(this.#ping(frame.body));
        return;
      case "reauth":
        this.#token = frame.body.token;
        return;
      case "close":
        while (this.#queue.length > 0) await this.#change();
        this.#close({ code: CloseCode.done, reason: "done" });
        return;
      case "pong":
      case "report":
        return;
      default:
        throw new LinkError(`HTTPS: there is no ${frame.type} here`);
    }
  }

  sendLossy(payload: Bytes): boolean {
    if (this.#over || !this.#ack || this.#lossy >= LOSSY_MAX || payload.length > this.#limits.max_event_bytes)
      return false;
    this.#lossy += 1;
    void this.#postLossy(payload);
    return true;
  }

  close(): void {
    this.#end();
  }

  async #greet({ client, epoch, next = 1, token }: Hello): Promise<void> {
    if (client === undefined || epoch === undefined) throw new LinkError("HTTPS: HELLO needs client and epoch");
    this.#token = token;
    this.#session = { "tidegate-client": client, "tidegate-epoch": `${epoch}` };
    const answer = await this.#ask(next, []);
    if (answer.kind === "busy") {
      const name = answer.reason === "draining" ? "drain" : "overload";
      throw this.#close({ code: CloseCode[name], reason: name, retry_ms: answer.retryMs ?? PAUSE_MS });
    }
    if (answer.kind !== "settled") throw new LinkError("HTTPS: a request without events is too large");
    const { level, limit } = answer;
    // Asking gives nothing up: numbers that the client gave up are not settled there yet.
    const upto = Math.max(answer.upto, next - 1);
    const limit_bytes = Number.MAX_SAFE_INTEGER;
    this.#ack = { upto, level, limit, limit_bytes, reason: "ok", retry_ms: 0, list: [] };
    const { max_event_bytes, max_batch_events } = this.#limits;
    const max_frame_bytes = Math.min(this.#limits.max_frame_bytes, this.#bodyBytesMax);
    const known = upto >= next;
    const sizes = { max_event_bytes, max_frame_bytes, max_batch_events };
    const times = { ping_ms: NEVER_MS, idle_ms: NEVER_MS, server_time: Date.now() };
    // What was refused of the numbers that are settled already is not told without sending them again.
    const rest = { v: 1, session: "", resumed: known, rej: [], rej_more: known, datagrams: false };
    this.frames.push({
      type: "welcome",
      body: { ...rest, client, epoch, upto, level, limit, limit_bytes, ...sizes, ...times },
    });
  }

  async #events({ first_seq, lossy, records }: Events): Promise<void> {
    if (!this.#ack || lossy) throw new LinkError("HTTPS: events before WELCOME, or lossy ones");
    // Events of one body have numbers in a row.
    while (this.#queue.length > 0 && first_seq !== this.#first + this.#queue.length) await this.#change();
    if (records.length === 0) return this.#settle(Math.max(this.#ack.upto, first_seq - 1));
    if (this.#queue.length === 0) this.#first = first_seq;
    for (const { payload } of records) {
      this.#queue.push(payload);
      this.#queueBytes += payload.length + 1;
    }
    if (!this.#running) this.#background(this.#run());
    // One body is under way, one waits.
    while (this.#queueBytes >= 2 * this.#bodyBytes) await this.#change();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#queue.length > 0 && !this.#over) await this.#step();
    this.#running = false;
  }

  /** One request and what follows of its answer. */
  async #step(): Promise<void> {
    const payloads = this.#queue.slice(0, this.#fitting());
    const answer = await this.#ask(this.#first, payloads);
    if (answer.kind === "settled") {
      this.#backoff.reset();
      this.#drop(payloads.length);
      const backlog = this.#queueBytes >= this.#bodyBytes;
      this.#bodyBytes = Math.min(backlog ? 2 * this.#bodyBytes : BODY_BYTES_PREFERRED, this.#bodyBytesMax);
      const { upto, level, limit, list } = answer;
      this.#settle(upto, { level, limit, list });
    } else if (answer.kind === "busy") {
      const retry_ms = Math.ceil(this.#backoff.next(answer.retryMs));
      this.#tell({ reason: answer.reason, retry_ms });
      await this.#pause(retry_ms);
    } else if (payloads.length > 1) {
      this.#bodyBytesMax = this.#bodyBytes = length(payloads) / 2;
    } else {
      const seq = this.#first;
      this.#drop(1);
      const message = "longer than a request may be";
      this.#settle(seq, { list: [{ seq, code: "too_large", refused: true, message }] });
    }
  }

  /** How many events go into the next body. */
  #fitting(): number {
    let count = 0;
    for (let bytes = 0; count < Math.min(this.#queue.length, this.#limits.max_batch_events); count += 1) {
      bytes += (this.#queue[count]?.length ?? 0) + 1;
      if (bytes > this.#bodyBytes) break;
    }
    return Math.max(count, 1);
  }

  #drop(count: number): void {
    this.#queueBytes -= length(this.#queue.splice(0, count));
    this.#first += count;
  }

  #settle(upto: number, told: Partial<Ack> = {}): void {
    if (this.#ack) this.#tell({ upto, limit: this.#ack.limit + upto - this.#ack.upto, ...told });
    this.#wake();
  }

  #tell(changes: Partial<Ack>): void {
    if (!this.#ack) return;
    this.#ack = { ...this.#ack, reason: "ok", retry_ms: 0, list: [], ...changes };
    this.frames.push({ type: "ack", body: this.#ack });
  }

  async #ping(body: Uint8Array): Promise<void> {
    this.#pinging = true;
    // Without session headers: it may overtake the request under way, and any word of the gateway is a sign of life.
    const answer = await this.#post([], {});
    if (!isTaken(answer)) refusal(answer);
    this.#pinging = false;
    this.frames.push({ type: "pong", body });
  }

  async #postLossy(payload: Bytes): Promise<void> {
    try {
      const { status } = await this.#post([payload], { prefer: "respond-async" });
      if (status !== 202) await this.#pause(PAUSE_MS);
    } catch {
      // At most once, and that was it.
    }
    this.#lossy -= 1;
  }

  /** One request of the numbering, again while an earlier one of this client has not ended. */
  async #ask(first: number, payloads: readonly Uint8Array[]): Promise<Exclude<Answer, { kind: "conflict" | "close" }>> {
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts += 1) {
      const headers = { ...this.#session, "tidegate-seq": `${first}` };
      const answer = judge(await this.#post(payloads, headers), first, payloads.length);
      if (answer.kind === "close") throw this.#close(answer.close);
      if (answer.kind !== "conflict") return answer;
      await this.#pause(PAUSE_MS);
    }
    throw new LinkError("HTTPS: another request of this client does not end");
  }

  async #post(payloads: readonly Uint8Array[], headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    this.#requireOpen();
    const controller = new AbortController();
    const abort = () => controller.abort();
    this.#cancels.add(abort);
    const cancelTimeout = this.#parts.clock.after(REQUEST_TIMEOUT_MS, abort);
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: {
          "content-type": "application/x-ndjson",
          ...(this.#token !== undefined && { authorization: `Bearer ${this.#token}` }),
          ...headers,
        },
        body: lines(payloads),
        cache: "no-store",
        credentials: "omit",
        mode: "cors",
        keepalive: false,
        // The token is for this address alone.
        redirect: "manual",
        signal: controller.signal,
      });
      const body = await readText(response, ANSWER_BYTES_MAX);
      return { status: response.status, body, retryAfter: response.headers.get("retry-after") };
    } catch (error) {
      if (controller.signal.aborted && !this.#over) throw new LinkError("HTTPS: no answer in time");
      throw new LinkError(`HTTPS: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      cancelTimeout();
      this.#cancels.delete(abort);
    }
  }

  /** Waits, but not beyond the end of the link. */
  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        this.#cancels.delete(done);
        resolve();
      };
      const cancel = this.#parts.clock.after(delayMs, done);
      this.#cancels.add(done);
    });
  }

  /** Waits for the queue to change. Throws once the link has ended. */
  async #change(): Promise<void> {
    await new Promise<void>((resolve) => this.#waiters.push(resolve));
    this.#requireOpen();
  }

  #wake(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  #background(task: Promise<void>): void {
    task.catch((error: unknown) => this.#end(error));
  }

  /** Ends as a session that the gateway closes. */
  #close(close: Close): LinkError {
    this.frames.push({ type: "close", body: close });
    this.#end();
    return new LinkError("HTTPS: closed");
  }

  #end(error?: unknown): void {
    this.#over = true;
    this.frames.end(error);
    for (const cancel of [...this.#cancels]) cancel();
    this.#wake();
  }

  #requireOpen(): void {
    if (this.#over) throw new LinkError("HTTPS: closed");
  }
}

function length(payloads: readonly Uint8Array[]): number {
  return payloads.reduce((bytes, payload) => bytes + payload.length + 1, 0);
}

/** NDJSON in which every payload is one line, whatever is in it, since lines are counted. */
function lines(payloads: readonly Uint8Array[]): Bytes {
  const body = new Uint8Array(length(payloads)).fill(LINE_FEED);
  let offset = 0;
  for (const payload of payloads) {
    body.set(payload, offset);
    const line = body.subarray(offset, offset + payload.length);
    if (line.includes(LINE_FEED)) line.set(line.map((byte) => (byte === LINE_FEED ? SPACE : byte)));
    offset += payload.length + 1;
  }
  return body;
}
