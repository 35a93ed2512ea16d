import { Adoption } from "./adoption.js";
import { Backoff } from "./backoff.js";
import type { Client, ClientEvents, State } from "./client.js";
import type { Clock } from "./clock.js";
import { Early } from "./early.js";
import { Emitter, reportUncaught } from "./emitter.js";
import { ClosedError } from "./errors/closed-error.js";
import { RefusedError } from "./errors/refused-error.js";
import type { TidegateError } from "./errors/tidegate-error.js";
import { type CloudEvent, decodeEvent, encodeEvent } from "./event.js";
import { Flushes } from "./flushes.js";
import { Lane } from "./lane.js";
import type { Page, PageSignal } from "./lifecycle.js";
import type { Farewell } from "./link/farewell.js";
import type { Dial, TransportName } from "./link/link.js";
import { loadHttps } from "./link/load.js";
import type { Preference } from "./link/preference.js";
import { checkToken, type Options, type Settings } from "./options.js";
import { type DropReason, Outbox, type OutboxListener, type Settlement } from "./outbox/outbox.js";
import type { Lease, Slots, StoredEvent } from "./outbox/store.js";
import { Reporter } from "./report.js";
import { TokenSource } from "./token.js";
import type { Bytes } from "./wire/bytes.js";
import { CloseCode } from "./wire/close-code.js";

/** What a client stands on; tests bring their own. */
export interface Platform {
  readonly clock: Clock;
  /** Unix ms. */
  readonly now: () => number;
  readonly random: () => number;
  readonly page: Page;
  readonly fetch: typeof fetch;
  /** `onPersistence` is called when `Slots.persistent` has changed. */
  readonly slots: (settings: Settings, onPersistence: () => void) => Promise<Slots>;
  readonly dial: (endpoint: URL, only?: readonly TransportName[]) => Dial;
  readonly preference: Preference;
}

/** A slot in use. */
interface Held {
  readonly outbox: Outbox;
  /** Another one after the outbox was renamed. */
  lane: Lane;
}

/** The largest event that any gateway may be configured to take. */
const EVENT_BYTES_MAX = 1024 * 1024;
const RELEASE_TIMEOUT_MS = 2_000;
/** How often a leaving page lets its link go on before what is left is posted. */
const LEAVING_TURNS = 64;

/** The client behind the API: one slot of its own, now and then one that others left behind, and the page around it. */
export class Core implements Client {
  readonly #settings: Settings;
  readonly #platform: Platform;
  readonly #emitter = new Emitter<ClientEvents>();
  readonly #token: TokenSource;
  readonly #reporter = new Reporter();
  readonly #early: Early;
  readonly #flushes = new Flushes();
  #farewell: Farewell | null = null;
  readonly #ended: Promise<void>;
  #slots: Slots | null = null;
  #own: Held | null = null;
  #adopted: Lane | null = null;
  #adoption: Adoption | null = null;
  #handled: Promise<void> | null = null;
  #room: Promise<void> | null = null;
  #tokenError: TidegateError | null = null;
  #eventBytesMax = EVENT_BYTES_MAX;
  #closing = false;
  #aborted = false;
  #closed = false;
  #looked = false;
  #told: State;
  #wake = () => {};

  constructor(settings: Settings, platform: Platform) {
    const { clock, now, random, page, fetch } = platform;
    this.#settings = settings;
    this.#platform = platform;
    this.#early = new Early(settings.limits.bytes);
    if (settings.farewell) {
      loadHttps().then(
        ({ farewell }) => {
          this.#farewell = farewell(fetch);
        },
        () => {},
      );
    }
    this.#token = new TokenSource(settings.token, {
      clock,
      now,
      random,
      renewed: (token) => {
        for (const lane of this.#lanes) lane.reauth(token);
      },
      failed: (error) => {
        this.#tokenError = error;
        this.#publish();
      },
    });
    this.#told = this.state;
    const stopListening = page.listen((signal) => this.#heed(signal));
    const abort = () => this.#abort();
    settings.signal?.addEventListener("abort", abort);
    // Not before the caller has the client in hand.
    this.#ended = Promise.resolve()
      .then(() => this.#live())
      .catch(reportUncaught)
      .finally(() => {
        stopListening();
        settings.signal?.removeEventListener("abort", abort);
        this.#end();
      });
    if (settings.signal?.aborted) abort();
  }

  get state(): State {
    const lane = this.#own?.lane.state ?? { status: "connecting", transport: null, reason: "ok", error: null };
    const outbox = this.#own?.outbox;
    return {
      ...lane,
      // A lane that ended is followed by the next one, unless the client ends too.
      status: this.#closed ? "closed" : lane.status === "closed" && !this.#closing ? "connecting" : lane.status,
      error: this.#tokenError ?? lane.error,
      unsettled: {
        events: (outbox?.length ?? 0) + this.#early.length,
        bytes: (outbox?.bytes ?? 0) + this.#early.bytes,
      },
      persistent: this.#slots?.persistent ?? false,
      client: outbox?.client ?? null,
    };
  }

  on<K extends keyof ClientEvents>(name: K, listener: (event: ClientEvents[K]) => void): () => void {
    return this.#emitter.on(name, listener);
  }

  send(event: CloudEvent, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#closing) return Promise.reject(new ClosedError("the client is closed"));
    let payload: Bytes;
    try {
      payload = this.#encode(event);
    } catch (error) {
      return Promise.reject(error);
    }
    const held = this.#own;
    const stored = held ? push(held, payload) : this.#pushEarly(payload);
    if (held && !signal && held.outbox.bytes <= this.#settings.limits.roomBytes) return this.#handle(stored);
    return this.#handle(this.#roomAfter(stored, signal));
  }

  sendLossy(event: CloudEvent): boolean {
    const handed = this.#own?.lane.sendLossy(this.#encode(event)) ?? false;
    if (!handed) this.#emitter.emit("dropped", { reason: "lossy", events: [event] });
    return handed;
  }

  flush({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#closed) return Promise.reject(new ClosedError("the client is closed"));
    return this.#handle(abortable(this.#flushes.wait(this.#own?.outbox ?? null), signal));
  }

  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      void this.#adoption?.stop();
      this.#own?.lane.close(true);
      this.#wake();
    }
    await this.#ended;
  }

  authenticate(token: Options["token"]): void {
    const checked = checkToken(token);
    if (this.#closed) return;
    this.#tokenError = null;
    this.#token.replace(checked);
    for (const lane of this.#lanes) lane.nudge("token");
    this.#publish();
  }

  get #lanes(): readonly Lane[] {
    const own = this.#own ? [this.#own.lane] : [];
    return this.#adopted ? [...own, this.#adopted] : own;
  }

  /** From opening storage to giving it back. */
  async #live(): Promise<void> {
    const { slots: open, random } = this.#platform;
    const backoff = new Backoff(random);
    const slots = await open(this.#settings, () => this.#publish());
    this.#slots = slots;
    let held = this.#take(await slots.lease());
    while (!this.#aborted) {
      this.#adoption ??= this.#adopter(slots);
      if (this.#closing) held.lane.close(true);
      const end = await held.lane.run();
      if (end === "closed" || this.#closing) break;
      // Others have the name. What is stored is theirs to send; what is here alone goes on under another one.
      if (end === "lost" || slots.persistent) {
        this.#own = null;
        this.#flushes.fail(new RefusedError(CloseCode.taken_over, "another instance has taken over the slot"));
        await this.#pause(backoff.next());
        const lease = await slots.lease();
        await this.#release(held.outbox);
        held = this.#take(lease);
      } else {
        await this.#pause(backoff.next());
        await this.#rename(held);
      }
    }
    this.#adopted?.end();
    await this.#adoption?.stop();
    await this.#release(held.outbox);
    // A slot that was lost at the very end has left something behind.
    if (this.#early.length > 0) await this.#release(this.#take(await slots.lease()).outbox);
  }

  #take(lease: Lease): Held {
    const held = this.#hold(lease, this.#reporter);
    this.#own = held;
    held.lane.hurried = !this.#platform.page.visible;
    this.#early.drain((payload) => push(held, payload));
    this.#flushes.begin(held.outbox);
    this.#publish();
    return held;
  }

  async #rename(held: Held): Promise<void> {
    const { outbox } = held;
    const suffix = Math.floor(this.#platform.random() * 36 ** 4).toString(36);
    await outbox.restart(`${outbox.client.slice(0, 100)}-${suffix}`, this.#platform.now()).catch(() => {});
    held.lane = this.#lane(outbox, 0, this.#reporter);
    held.lane.hurried = !this.#platform.page.visible;
    this.#own = held;
    this.#publish();
  }

  #hold(lease: Lease, reporter: Reporter | null): Held {
    const listener: OutboxListener = {
      settled: (settlements) => this.#settled(held, reporter, settlements),
      dropped: (reason, events) => this.#dropped(held, reason, events),
      lost: (unstored) => {
        if (this.#own === held) this.#own = null;
        for (const { payload } of unstored) this.#handle(this.#pushEarly(payload));
        const own = this.#own;
        if (own) this.#early.drain((payload) => push(own, payload));
        held.lane.lose();
      },
    };
    const { limits } = this.#settings;
    const outbox = new Outbox(lease, { limits, now: this.#platform.now, listener });
    const held: Held = { outbox, lane: this.#lane(outbox, lease.state.last, reporter) };
    return held;
  }

  #lane(outbox: Outbox, loadedLast: number, reporter: Reporter | null): Lane {
    const { endpoint, transports, batch } = this.#settings;
    const { clock, now, random, page, dial, preference } = this.#platform;
    const usual = dial(endpoint, transports);
    return new Lane({
      outbox,
      loadedLast,
      token: this.#token,
      dial: (elsewhere) => (elsewhere ? dial(elsewhere, transports) : usual),
      preference,
      batch,
      reporter,
      online: () => page.online,
      clock,
      now,
      random,
      listener: {
        changed: () => {
          this.#publish();
          this.#lookOnce();
        },
        welcomed: ({ max_event_bytes }) => {
          this.#eventBytesMax = max_event_bytes;
        },
      },
    });
  }

  #adopter(slots: Slots): Adoption {
    return new Adoption({
      slots,
      clock: this.#platform.clock,
      free: () => !this.#closing && this.#own?.lane.state.status === "open" && this.#own.outbox.length === 0,
      send: async (lease) => {
        const { outbox, lane } = this.#hold(lease, null);
        this.#adopted = lane;
        lane.close(false);
        await lane.run();
        this.#adopted = null;
        const empty = outbox.length === 0;
        await this.#release(outbox);
        return empty;
      },
    });
  }

  /** Once everything of its own is settled for the first time, the client looks after what others left behind. */
  #lookOnce(): void {
    if (this.#looked || this.#own?.lane.state.status !== "open" || this.#own.outbox.length > 0) return;
    this.#looked = true;
    this.#adoption?.look();
  }

  #settled({ outbox, lane }: Held, reporter: Reporter | null, settlements: readonly Settlement[]): void {
    const { client } = outbox;
    let told = 0;
    settlements.forEach(({ event, latencyMs, level, refusal }, index) => {
      const { seq, payload } = event;
      if (!refusal) {
        reporter?.acknowledged(latencyMs, 1);
        const next = settlements[index + 1];
        if (next && !next.refusal && next.level === level) return;
        const first = settlements[told]?.event.seq ?? seq;
        const count = index + 1 - told;
        this.#emitter.emit("acknowledged", { client, first, last: seq, count, level, latencyMs });
      } else {
        const { code, message } = refusal;
        this.#emitter.emit("refused", () => ({ client, seq, code, message, event: decodeEvent(payload) }));
      }
      told = index + 1;
    });
    lane.settled();
    this.#flushes.look();
    this.#lookOnce();
  }

  #dropped({ lane }: Held, reason: DropReason, events: readonly StoredEvent[]): void {
    this.#tellDropped(
      reason,
      events.map(({ payload }) => payload),
    );
    lane.settled();
    this.#flushes.look();
  }

  #heed(signal: PageSignal): void {
    const lanes = this.#lanes;
    switch (signal) {
      case "hidden":
      case "frozen":
        for (const lane of lanes) lane.hurried = true;
        if (this.#own?.lane.state.status !== "open") this.#sayFarewell();
        return;
      case "leaving":
        for (const lane of lanes) lane.hurried = true;
        void this.#leave();
        return;
      case "visible":
        for (const lane of lanes) {
          lane.hurried = false;
          lane.nudge("visible");
        }
        this.#adoption?.look();
        return;
      case "returned":
        for (const lane of lanes) {
          lane.hurried = !this.#platform.page.visible;
          lane.restart();
        }
        return;
      case "resumed":
      case "online":
        for (const lane of lanes) lane.nudge("network");
        return;
      case "offline":
        for (const lane of lanes) lane.doubt();
    }
  }

  /** Links take frames at once but say so a little later. */
  async #leave(): Promise<void> {
    for (let turn = 0; turn < LEAVING_TURNS; turn += 1) {
      if (this.#own?.lane.handed) return;
      await null;
    }
    this.#sayFarewell();
  }

  #sayFarewell(): void {
    const url = this.#own?.lane.routes.find(({ transport }) => transport === "https")?.url;
    if (!this.#own || !url || this.#closed) return;
    const last = this.#farewell?.(url, this.#own.outbox, this.#token.current) ?? null;
    if (last !== null) this.#own.lane.posted(last);
  }

  #encode(event: CloudEvent): Bytes {
    const bytesMax = Math.min(this.#eventBytesMax, this.#settings.limits.bytes);
    return encodeEvent(event, this.#platform.now(), bytesMax);
  }

  #pushEarly(payload: Bytes): Promise<void> {
    return this.#early.push(payload, (payloads) => this.#tellDropped("overflow", payloads));
  }

  #tellDropped(reason: DropReason, payloads: readonly Bytes[]): void {
    this.#reporter.dropped(reason, payloads.length);
    this.#emitter.emit("dropped", () => ({ reason, events: payloads.map(decodeEvent) }));
  }

  async #roomAfter(stored: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    await abortable(stored, signal);
    const outbox = this.#own?.outbox;
    if (!outbox || outbox.bytes <= this.#settings.limits.roomBytes) return;
    // All who wait share one promise; at the end of the outbox their events are kept, which is what they asked for.
    this.#room ??= outbox
      .room()
      .catch(() => {})
      .finally(() => {
        this.#room = null;
      });
    await abortable(this.#room, signal);
  }

  /** Who does not look at what became of a promise need not. Events stored together share one. */
  #handle(promise: Promise<void>): Promise<void> {
    if (promise !== this.#handled) promise.catch(() => {});
    this.#handled = promise;
    return promise;
  }

  /** Gives a slot back; storage that hangs holds up nobody. */
  #release(outbox: Outbox): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#platform.clock.after(RELEASE_TIMEOUT_MS, resolve);
      void outbox
        .release()
        .catch(() => {})
        .finally(() => {
          cancel();
          resolve();
        });
    });
  }

  #pause(delayMs: number): Promise<void> {
    if (this.#closing) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#platform.clock.after(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }

  #abort(): void {
    this.#closing = this.#aborted = true;
    void this.#adoption?.stop();
    for (const lane of this.#lanes) lane.end();
    this.#wake();
  }

  #end(): void {
    this.#closing = this.#closed = true;
    this.#token.stop();
    this.#flushes.fail(new ClosedError("the client was closed before everything was settled"));
    this.#publish();
  }

  #publish(): void {
    const [state, told] = [this.state, this.#told];
    const keys = ["status", "transport", "reason", "error", "persistent", "client"] as const;
    if (keys.every((key) => state[key] === told[key])) return;
    this.#told = state;
    this.#emitter.emit("state", state);
  }
}

function push({ outbox, lane }: Held, payload: Bytes): Promise<void> {
  lane.collect(payload.length);
  return outbox.push(payload);
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
