import { newAdoption } from "./adoption.js";
import { Backoff } from "./backoff.js";
import type { Client, ClientEvents, State } from "./client.js";
import { within } from "./clock.js";
import { earlyOutbox } from "./early.js";
import { newEmitter, reportUncaught } from "./emitter.js";
import { ClosedError } from "./errors/closed-error.js";
import { RefusedError } from "./errors/refused-error.js";
import type { TidegateError } from "./errors/tidegate-error.js";
import { type CloudEvent, encodeEvent } from "./event.js";
import { newFlushes } from "./flushes.js";
import { type Lane, startLane } from "./lane.js";
import type { PageSignal } from "./lifecycle.js";
import { loadSession } from "./loading.js";
import { tellDropped, tellSettled } from "./news.js";
import { checkToken, type Settings } from "./options.js";
import { type DropReason, type Outbox, openOutbox } from "./outbox/outbox.js";
import type { Lease, Slots, StoredEvent } from "./outbox/store.js";
import type { Platform } from "./platform.js";
import { abortable, handled, refusal } from "./promises.js";
import { newReporter, type Reporter } from "./report.js";
import type { Session, StartSession } from "./session/session.js";
import { CLOSE_TIMEOUT_MS, LEAVING_TURNS, RELEASE_TIMEOUT_MS } from "./timing.js";
import { CloseCode } from "./wire/close-code.js";
import type { Welcome } from "./wire/frames.js";

/** The client behind the API: one slot of its own, now and then one that others left behind, and the page around it. */
export function startClient(settings: Settings, platform: Platform): Client {
  const { clock, now, random, page } = platform;
  const { limits, signal } = settings;
  const { on, emit } = newEmitter<ClientEvents>(["state", "acknowledged", "refused", "dropped"]);
  const reporter = newReporter();
  const lanes = new Set<Lane>();
  const flushes = newFlushes();
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
  const adoption = newAdoption({ clock, isFree, slots: () => slots, hold: (lease) => hold(lease, null), release });

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
      closing = ending = closed = true;
      stopListening();
      signal?.removeEventListener("abort", abort);
      adoption.stop();
      loading.stop();
      session?.stop();
      flushes.fail(closedError());
      publish();
    });
  if (signal?.aborted) abort();

  return {
    on,
    get state() {
      return state();
    },
    send: (event, { signal } = {}) => take(event, signal),
    sendLossy: (event) => {
      const handed = own?.connection?.sendLossy(encode(event)) ?? false;
      if (!handed) emit("dropped", () => ({ reason: "lossy", events: [event] }));
      return handed;
    },
    flush: ({ signal } = {}) => handled(abortable(flush(), signal)),
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
    adoption.look();
    for (;;) {
      if (closing) lane.close(CLOSE_TIMEOUT_MS);
      const left = await lane.ended;
      if (!left || closing) break;
      const { outbox: old } = lane;
      // What is stored is for others to send; what is here alone goes on under another name.
      old.lose();
      if (opened.persistent) flushes.fail(new RefusedError(CloseCode.taken_over, "another instance has the slot"));
      lane = use(await opened.lease(), backoff.next());
      await release(old);
    }
    ending = true;
    for (const lane of lanes) lane.end();
    await adoption.done;
    // A slot that was lost at the very end has left something behind.
    if (!own && outbox.length > 0) use(await opened.lease());
    flushes.fail(closedError());
    await release(outbox);
  }

  function use(lease: Lease, delayMs = 0): Lane {
    const lane = hold(lease, reporter, delayMs);
    own = lane;
    outbox = lane.outbox;
    early.moveTo(outbox);
    flushes.look(outbox);
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
      clock,
      now,
      listener: {
        settled: (settlements) => {
          tellSettled(emit, to, box.client, settlements);
          settledSome();
        },
        dropped,
        lost: (unstored) => {
          abandon(box);
          for (const event of unstored) void outbox.push(event, event.at);
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
    return earlyOutbox({ limits, clock, now, listener: { settled: () => {}, dropped } });
  }

  function changed(welcome?: Welcome): void {
    if (welcome) eventBytesMax = welcome.max_event_bytes;
    publish();
    adoption.lookOnce();
  }

  function dropped(reason: DropReason, events: readonly StoredEvent[]): void {
    tellDropped(emit, reporter, reason, events);
    settledSome();
  }

  function settledSome(): void {
    for (const lane of lanes) lane.settled();
    flushes.look(outbox);
    adoption.lookOnce();
  }

  /** Whether there is nothing better to do than to look after what others left behind. */
  function isFree(): boolean {
    return !closing && own?.status === "open" && outbox.length === 0;
  }

  function heed(signal: PageSignal): void {
    loading.heed(signal);
    for (const lane of lanes) lane.heed(signal);
    if (signal === "visible") adoption.look();
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

  function take(event: CloudEvent, signal: AbortSignal | undefined): Promise<void> {
    if (closing) return refusal(closedError());
    let stored: Promise<void>;
    try {
      stored = outbox.push(encode(event));
    } catch (error) {
      // Who does not wait for the promise shall hear of it, too.
      reportUncaught(error);
      return refusal(error);
    }
    const isFull = outbox.bytes > limits.roomBytes;
    // Promises cost more than all else that is done here: those of one go are the same one.
    if (!isFull && !signal) return stored;
    return handled(abortable(isFull ? stored.then(() => outbox.room()) : stored, signal));
  }

  async function flush(): Promise<void> {
    if (ending) throw closedError();
    return flushes.add(outbox);
  }

  /** Gives a slot back; storage that hangs holds up nobody. */
  function release(box: Outbox): Promise<void> {
    return within(clock, RELEASE_TIMEOUT_MS, box.release(), () => new Error()).catch(() => {});
  }

  function close(): Promise<void> {
    closing = true;
    adoption.stop();
    own?.close(CLOSE_TIMEOUT_MS);
    return ended;
  }

  function abort(): void {
    closing = ending = true;
    adoption.stop();
    for (const lane of lanes) lane.end();
  }
}

function closedError(): ClosedError {
  return new ClosedError("the client is closed");
}
