import { Backoff } from "./backoff.js";
import type { Client, ClientEvents, State } from "./client.js";
import { within } from "./clock.js";
import { earlyOutbox } from "./early.js";
import { newEmitter, reportUncaught } from "./emitter.js";
import { ClosedError } from "./errors/closed-error.js";
import { RefusedError } from "./errors/refused-error.js";
import type { TidegateError } from "./errors/tidegate-error.js";
import { type CloudEvent, decodeEvent, encodeEvent } from "./event.js";
import { type Lane, startLane } from "./lane.js";
import type { PageSignal } from "./lifecycle.js";
import { loadSession } from "./loading.js";
import { checkToken, type Settings } from "./options.js";
import { type DropReason, type Outbox, openOutbox, type Settlement } from "./outbox/outbox.js";
import type { Lease, Slots, StoredEvent } from "./outbox/store.js";
import type { Platform } from "./platform.js";
import { newReporter, type Reporter } from "./report.js";
import type { Session, StartSession } from "./session/session.js";
import { ADOPT_MAX_MS, ADOPT_MS, CLOSE_TIMEOUT_MS, LEAVING_TURNS, RELEASE_TIMEOUT_MS } from "./timing.js";
import { CloseCode } from "./wire/close-code.js";
import type { Welcome } from "./wire/frames.js";

/** Somebody who waits for everything up to a number. */
interface Flush {
  epoch: number;
  upto: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** The client behind the API: one slot of its own, now and then one that others left behind, and the page around it. */
export function startClient(settings: Settings, platform: Platform): Client {
  const { clock, now, random, page } = platform;
  const { limits, signal } = settings;
  const { on, emit } = newEmitter<ClientEvents>();
  const reporter = newReporter();
  const lanes = new Set<Lane>();
  const flushes = new Set<Flush>();
  let slots: Slots | null = null;
  let own: Lane | null = null;
  let { token } = settings;
  let tokenError: TidegateError | null = null;
  let session: Session | null = null;
  /** At first the most that any gateway may be configured to take. */
  let eventBytesMax = 1024 * 1024;
  /** No more events are taken; then nothing is sent any more; then all is over. */
  let closing = false;
  let ending = false;
  let closed = false;
  let adopting: Promise<void> | null = null;
  let adoptMs = ADOPT_MS;
  let adoptFrom = 0;
  let looked = false;
  let cancelLook = () => {};

  /** Where events go: to our slot, and while there is none to where they wait for one. */
  let early = newEarly();
  let outbox = early.outbox;
  const loading = loadSession(platform, begin, publish);
  let told = state();
  const stopListening = page.listen(heed);
  signal?.addEventListener("abort", abort);
  // Not before the caller has the client in hand.
  const ended = Promise.resolve()
    .then(live)
    .catch(reportUncaught)
    .finally(() => {
      closing = closed = true;
      stopListening();
      signal?.removeEventListener("abort", abort);
      cancelLook();
      loading.stop();
      session?.stop();
      failFlushes(new ClosedError("the client is closed"));
      publish();
    });
  if (signal?.aborted) abort();

  return {
    on,
    get state() {
      return state();
    },
    send: (event, { signal } = {}) => handled(take(event, signal)),
    sendLossy: (event) => {
      const handed = own?.connection?.sendLossy(encode(event)) ?? false;
      if (!handed) emit("dropped", () => ({ reason: "lossy", events: [event] }));
      return handed;
    },
    flush: ({ signal } = {}) => handled(abortable(flushed(), signal)),
    close,
    authenticate: (given) => {
      const checked = checkToken(given);
      if (closed) return;
      tokenError = null;
      token = checked;
      session?.authenticate(token);
      publish();
    },
  };

  function state(): State {
    const link = own?.connection?.isOpen() ? own.connection : null;
    // A lane that ended is followed by the next one, unless the client ends too.
    const status = own && (own.status !== "closed" || closing) ? own.status : loading.status;
    return {
      status: closed ? "closed" : status,
      transport: link?.name ?? null,
      reason: link?.reason ?? "ok",
      error: tokenError ?? (own ?? loading).error,
      unsettled: { events: outbox.length, bytes: outbox.bytes },
      persistent: slots?.persistent ?? false,
      client: own && outbox.client,
    };
  }

  function publish(): void {
    const now = state();
    const keys = Object.keys(now) as (keyof State)[];
    if (keys.every((key) => key === "unsettled" || now[key] === told[key])) return;
    told = now;
    emit("state", () => now);
  }

  function begin(start: StartSession): Session {
    session = start({
      settings: { ...settings, token },
      platform,
      tokenFailed: (error) => {
        tokenError = error;
        publish();
      },
    });
    return session;
  }

  /** From opening storage to giving it back. */
  async function live(): Promise<void> {
    const opened = await platform.slots(settings, publish);
    const backoff = new Backoff(random);
    slots = opened;
    let lane = use(await opened.lease());
    look();
    for (;;) {
      if (closing) lane.close(CLOSE_TIMEOUT_MS);
      const left = await lane.ended;
      if (!left || closing) break;
      const { outbox: old } = lane;
      // What is stored is for others to send; what is here alone goes on under another name.
      old.lose();
      if (opened.persistent) failFlushes(new RefusedError(CloseCode.taken_over, "another instance has the slot"));
      lane = use(await opened.lease(), backoff.next());
      await release(old);
    }
    ending = true;
    for (const lane of lanes) lane.end();
    await adopting;
    // A slot that was lost at the very end has left something behind.
    if (!own && outbox.length > 0) use(await opened.lease());
    await release(outbox);
  }

  function use(lease: Lease, delayMs = 0): Lane {
    const lane = hold(lease, reporter, delayMs);
    own = lane;
    outbox = lane.outbox;
    early.moveTo(outbox);
    lookAtFlushes();
    publish();
    return lane;
  }

  /** Our slot is not ours any more. */
  function abandon(box: Outbox): void {
    if (outbox !== box) return;
    own = null;
    early = newEarly();
    outbox = early.outbox;
  }

  function hold(lease: Lease, to: Reporter | null, delayMs = 0): Lane {
    const box: Outbox = openOutbox(lease, {
      limits,
      now,
      listener: {
        settled: (settlements) => settled(box, to, settlements),
        dropped,
        lost: (unstored) => {
          abandon(box);
          for (const { payload, at } of unstored) handled(outbox.push(payload, at));
          lane.end(true);
        },
      },
    });
    const lane = startLane({ outbox: box, reporter: to, delayMs, changed }, loading, platform);
    lanes.add(lane);
    void lane.ended.then(() => lanes.delete(lane));
    if (ending) lane.end();
    return lane;
  }

  function newEarly() {
    return earlyOutbox({ limits, now, listener: { settled: () => {}, dropped } });
  }

  function changed(welcome?: Welcome): void {
    if (welcome) eventBytesMax = welcome.max_event_bytes;
    publish();
    lookOnce();
  }

  function settled({ client }: Outbox, to: Reporter | null, settlements: readonly Settlement[]): void {
    let run: ClientEvents["acknowledged"] | undefined;
    const tell = (told: typeof run) => told && emit("acknowledged", () => told);
    for (const { event, latencyMs, level, refusal } of settlements) {
      const { seq, payload } = event;
      if (refusal) {
        tell(run);
        run = undefined;
        const { code, message } = refusal;
        emit("refused", () => ({ client, seq, code, message, event: decodeEvent(payload) }));
      } else {
        to?.acknowledged(latencyMs);
        run = { client, first: run?.first ?? seq, last: seq, count: (run?.count ?? 0) + 1, level, latencyMs };
      }
    }
    tell(run);
    settledSome();
  }

  function dropped(reason: DropReason, events: readonly StoredEvent[]): void {
    reporter.count(reason, events.length);
    emit("dropped", () => ({ reason, events: events.map(({ payload }) => decodeEvent(payload)) }));
    settledSome();
  }

  function settledSome(): void {
    for (const lane of lanes) lane.settled();
    lookAtFlushes();
    lookOnce();
  }

  /** Whether there is nothing better to do than to look after what others left behind. */
  function isFree(): boolean {
    return !closing && own?.status === "open" && outbox.length === 0;
  }

  /** As soon as everything of its own is settled for the first time. */
  function lookOnce(): void {
    if (looked || !isFree()) return;
    looked = true;
    look();
  }

  function look(): void {
    cancelLook();
    if (closing) return;
    cancelLook = clock.after(ADOPT_MS, look);
    if (adopting || !isFree() || clock.now() < adoptFrom) return;
    adopting = adopt().finally(() => {
      adopting = null;
    });
  }

  /** One slot after the other. */
  async function adopt(): Promise<void> {
    while (isFree()) {
      // A slot that cannot be had now is there later too.
      const lease = await slots?.adopt().catch(() => null);
      if (!lease) return;
      const lane = hold(lease, null);
      lane.close();
      await lane.ended;
      const sent = lane.outbox.length === 0;
      await release(lane.outbox);
      adoptMs = sent ? ADOPT_MS : Math.min(adoptMs * 2, ADOPT_MAX_MS);
      if (sent) continue;
      // One that does not get through must not take all the time there is.
      adoptFrom = clock.now() + adoptMs;
      return;
    }
  }

  function heed(signal: PageSignal): void {
    loading.heed(signal);
    for (const lane of lanes) lane.heed(signal);
    if (signal === "visible") look();
    else if (signal === "pagehide") void leave();
    else if ((signal === "hidden" || signal === "freeze") && own?.status !== "open") sayFarewell();
  }

  /** Links take frames at once but say so a little later. */
  async function leave(): Promise<void> {
    for (let turn = 0; turn < LEAVING_TURNS; turn += 1) {
      if (own?.connection?.handed()) return;
      await null;
    }
    sayFarewell();
  }

  function sayFarewell(): void {
    if (!closed) own?.post();
  }

  function encode(event: CloudEvent) {
    return encodeEvent(event, now(), Math.min(eventBytesMax, limits.bytes));
  }

  async function take(event: CloudEvent, signal: AbortSignal | undefined): Promise<void> {
    if (closing) throw new ClosedError("the client is closed");
    let stored: Promise<void>;
    try {
      stored = outbox.push(encode(event));
    } catch (error) {
      // Who does not wait for the promise shall hear of it, too.
      reportUncaught(error);
      throw error;
    }
    const isFull = outbox.bytes > limits.roomBytes;
    await abortable(stored, signal);
    if (isFull) await abortable(outbox.room(), signal);
  }

  function flushed(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (closed) throw new ClosedError("the client is closed");
      flushes.add({ epoch: outbox.epoch, upto: outbox.last, resolve, reject });
      lookAtFlushes();
    });
  }

  function lookAtFlushes(): void {
    const { epoch, first, last } = outbox;
    for (const flush of flushes) {
      // Another numbering: everything in it was sent before, or may have been.
      if (flush.epoch !== epoch) Object.assign(flush, { epoch, upto: last });
      if (first <= flush.upto) continue;
      flushes.delete(flush);
      flush.resolve();
    }
  }

  function failFlushes(error: Error): void {
    for (const { reject } of flushes) reject(error);
    flushes.clear();
  }

  /** Gives a slot back; storage that hangs holds up nobody. */
  function release(box: Outbox): Promise<void> {
    return within(clock, RELEASE_TIMEOUT_MS, box.release(), () => new Error()).catch(() => {});
  }

  function close(): Promise<void> {
    closing = true;
    cancelLook();
    own?.close(CLOSE_TIMEOUT_MS);
    return ended;
  }

  function abort(): void {
    closing = ending = true;
    cancelLook();
    for (const lane of lanes) lane.end();
  }
}

/** Who does not look at what became of a promise need not. */
function handled(promise: Promise<void>): Promise<void> {
  promise.catch(() => {});
  return promise;
}

/** `promise`, or the signal's reason as soon as it is aborted. */
function abortable(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
