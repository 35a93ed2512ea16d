import type { Clock } from "../clock.js";
import type { DiscoveryError } from "../errors/discovery-error.js";
import type { TidegateError } from "../errors/tidegate-error.js";
import type { Lane, LaneParts } from "../lane.js";
import type { PageSignal } from "../lifecycle.js";
import type { Farewell } from "../link/farewell.js";
import type { Link, Route, TransportName } from "../link/link.js";
import type { Settings } from "../options.js";
import type { Outbox } from "../outbox/outbox.js";
import { CloseCode } from "../wire/close-code.js";
import type { Welcome } from "../wire/frames.js";
import { type Connection, Conversation, type Ending } from "./connection.js";
import type { FrameLimits } from "./sender.js";
import type { Network, SessionParts } from "./session.js";
import { Backoff, LinkError, RefusedError } from "./shared.js";
import { OFFLINE_MAX_MS, OVERTAKEN_MS, POSTED_MS } from "./timing.js";
import type { TokenSource } from "./token.js";
import { newUpgrade, type Upgrade } from "./upgrade.js";
import { newWait, type Wait } from "./wait.js";
import { newWays, type Ways } from "./ways.js";

/** What a lane, its connections and their senders work with. */
export interface RunParts extends LaneParts, Pick<Network, "dial" | "preference" | "isForeign"> {
  readonly settings: Settings;
  readonly platform: SessionParts["platform"];
  readonly token: TokenSource;
  /** What posts a page's last events, once it is loaded. */
  readonly farewell: () => Farewell | null;
}

/** What cuts a wait short that nobody has asked for. */
const SOON = "network token visible";

/** What the application can do where trying again would not help, by CLOSE code. */
const ADVICE: Readonly<Record<number, string>> = {
  [CloseCode.auth]: "give a good token to authenticate()",
  [CloseCode.auth_expired]: "give a good token to authenticate()",
  [CloseCode.version]: "update this client or the gateway",
  [CloseCode.origin]: "allow this page's origin in the gateway's configuration, by [origins] allow",
};

/** Begins at once. */
export class RunningLane implements Lane {
  readonly outbox: Outbox;
  readonly ended: Promise<boolean>;
  status: Lane["status"] = "connecting";
  error: TidegateError | null = null;
  connection: Connection | null = null;
  readonly #parts: RunParts;
  readonly #clock: Clock;
  readonly #backoff: InstanceType<typeof Backoff>;
  readonly #wait: Wait;
  readonly #ways: Ways;
  readonly #upgrade: Upgrade;
  readonly #limits: FrameLimits;
  #elsewhere: string | undefined;
  #transport: TransportName | undefined;
  /** Another token was given since the last HELLO: what the gateway refuses is not that one. */
  #fresh = false;
  /** The token function has been asked since the last token that did something. */
  #renewed = false;
  /** Until then a takeover may be our own doing. */
  #oursUntil = 0;
  /** Up to here a request of the page's has taken events, which it may be told of until then. */
  #posted = 0;
  #postedUntil = 0;
  #closing = false;
  #cancelClose = () => {};
  #tellEnd!: (left: boolean) => void;

  constructor(parts: RunParts) {
    const { outbox, settings, platform, preference, token } = parts;
    const { clock, random, page } = platform;
    this.outbox = outbox;
    this.#parts = parts;
    this.#clock = clock;
    this.#backoff = new Backoff(random);
    this.#wait = newWait(clock);
    this.#limits = { ...settings.batch };
    const ways = newWays(parts, () => this.#hasEnded);
    this.#ways = ways;
    this.#upgrade = newUpgrade({
      clock,
      preference,
      open: ways.open,
      routes: () => ways.routes,
      isOver: () => this.#closing || this.#hasEnded,
      converse: (link) => {
        this.#mayTakeOver(OVERTAKEN_MS);
        return this.#converse(link, token.current());
      },
    });
    this.ended = new Promise((resolve) => {
      this.#tellEnd = resolve;
    });
    outbox.onStored = () => {
      this.connection?.stored();
      this.#wait.wake("stored");
    };
    this.#hurry(!page.visible);
    void Promise.resolve().then(() => this.#run());
  }

  settled(): void {
    if (!this.#closing || this.outbox.length > 0) return;
    const { connection } = this;
    this.#upgrade.forgo(connection);
    if (connection?.isOpen()) connection.finish();
    else this.end();
  }

  heed(signal: PageSignal): void {
    const wait = this.#wait;
    this.#hurry(signal === "pagehide" || !this.#parts.platform.page.visible);
    if (signal === "visible") wait.wake(signal);
    else if (signal === "pageshow") {
      // After the page was in the back/forward cache no link is what it was.
      this.#backoff.reset();
      this.connection?.stop();
      // Once the end has been noticed there is a wait to cut short.
      this.#clock.after(0, () => wait.wake("network"));
    } else if (signal === "online" || signal === "offline" || signal === "resume") {
      this.connection?.probe();
      wait.wake("network");
    }
  }

  authenticate(): void {
    this.#renewed = false;
    this.#fresh = true;
    this.#wait.wake("token");
  }

  post(): void {
    const { outbox } = this;
    const { farewell, token } = this.#parts;
    const url = this.#ways.routes.find(({ transport }) => transport === "https")?.url;
    const last = url && farewell()?.(url, outbox, token.current());
    if (!last) return;
    this.#posted = last;
    this.#postedUntil = this.#clock.now() + POSTED_MS;
    outbox.sentUpto = Math.max(outbox.sentUpto, last);
    this.#mayTakeOver(POSTED_MS);
  }

  close(timeoutMs?: number): void {
    if (this.#closing) return;
    this.#closing = true;
    if (timeoutMs && (this.status === "stopped" || this.status === "offline")) {
      this.end();
      return;
    }
    if (timeoutMs) {
      this.#cancelClose = this.#clock.after(timeoutMs, () => this.end());
      this.#wait.wake("network");
    }
    this.#hurry(true);
    this.settled();
  }

  end(left = false): void {
    if (this.#hasEnded) return;
    this.#cancelClose();
    this.#ways.giveUp();
    this.#upgrade.forgo(this.connection);
    this.connection?.stop();
    this.#become("closed");
    this.#wait.wake();
    this.#tellEnd(left);
  }

  get #hasEnded() {
    return this.status === "closed";
  }

  get #isOver() {
    return this.#hasEnded || (this.#closing && this.outbox.length === 0);
  }

  async #run(): Promise<void> {
    const { outbox } = this;
    const { platform, delayMs } = this.#parts;
    if (delayMs > 0) await this.#rest("waiting", delayMs, SOON);
    while (!this.#isOver) {
      if (!platform.page.online) {
        await this.#rest("offline", OFFLINE_MAX_MS, "network");
        if (this.#isOver) break;
      }
      this.#become("connecting");
      const ending = await this.#attempt();
      if (this.#hasEnded) return;
      outbox.sentUpto = Math.max(outbox.upto, this.#clock.now() < this.#postedUntil ? this.#posted : 0);
      if (!this.#isOver) await this.#recover(ending);
    }
    this.end();
  }

  /** Tries one transport after the other until one gets as far as WELCOME, and stays until that is over, and what took over. */
  async #attempt(): Promise<Ending> {
    const { preference, token } = this.#parts;
    const ways = this.#ways;
    const target = this.#elsewhere;
    this.#elsewhere = undefined;
    let routes: readonly Route[] | null = null;
    let failure: Ending;
    try {
      routes = await ways.find(target);
      for (let left = preference.order(routes); ; ) {
        // While nothing is open that would have to wait for it.
        const secret = await token.get();
        this.#fresh = false;
        const link = await ways.open(left);
        this.connection = this.#converse(link, secret);
        const ending = await this.connection.ended;
        const later = await this.#upgrade.heirs();
        ways.giveUp();
        left = left.filter(({ transport }) => transport !== link.name);
        if (later) return later;
        if (ending.welcomed || ending.code || this.#isOver) return ending;
        failure = ending;
        if (left.length === 0) break;
      }
    } catch (cause) {
      failure = { error: LinkError.from("gateway", cause), retryMs: (cause as Partial<DiscoveryError>).retryMs };
    }
    return (routes && (await ways.foreign())) ?? failure;
  }

  #converse(link: Link, secret: string | undefined): Connection {
    return new Conversation(this.#parts, this.#limits, link, secret, (...told) => this.#opened(...told));
  }

  #opened(mine: Connection, welcome: Welcome): void {
    const { reporter, changed } = this.#parts;
    const { name } = mine;
    if (mine !== this.connection) this.connection?.stop();
    this.connection = mine;
    this.error = null;
    if (this.#transport && this.#transport !== name) reporter?.count("switches");
    this.#transport = name;
    this.status = "open";
    changed(welcome);
    this.#upgrade.plan(mine);
    this.settled();
  }

  /** What follows from how a connection ended: section 10 of the protocol. Codes it does not know are as good as none. */
  async #recover({ code = 0, error: cause, retryMs, url, useful }: Ending): Promise<void> {
    const { outbox } = this;
    const { token, platform } = this.#parts;
    if (useful) {
      this.#backoff.reset();
      this.#renewed = false;
    }
    const ours = this.#clock.now() < this.#oursUntil;
    this.#mayTakeOver(this.#transport === "https" ? POSTED_MS : OVERTAKEN_MS);
    this.#elsewhere = url;
    this.error = cause;
    let asked = retryMs;
    const isAuth = code === CloseCode.auth || code === CloseCode.auth_expired;
    if (isAuth && (this.#fresh || (!this.#renewed && token.refused()))) {
      this.#renewed = !this.#fresh;
    } else if (ADVICE[code]) {
      this.error = new RefusedError(code, `the gateway refused the session (${cause.message}): ${ADVICE[code]}`);
      if (this.#closing) return this.end();
      return this.#rest("stopped", null, "token");
    } else if (code === CloseCode.taken_over) {
      if (!ours) return this.end(true);
    } else if (code === CloseCode.stale_epoch) {
      this.#become("waiting");
      this.#postedUntil = 0;
      // Storage that fails is the outbox's matter: it lives on in memory, or tells that the slot is lost.
      await outbox.restart(outbox.client, Math.max(outbox.epoch + 1, platform.now())).catch(() => {});
    } else if ((code === CloseCode.idle || code === CloseCode.done) && outbox.length === 0) {
      this.error = null;
      await this.#rest("waiting", null, "stored token");
      asked = 0;
    }
    await this.#rest("waiting", this.#backoff.next(asked), asked ? "network token" : SOON);
  }

  #become(next: Lane["status"]): void {
    if (this.#hasEnded) return;
    this.status = next;
    this.#parts.changed();
  }

  /** What those do who are told of the state cuts the wait short, too. */
  async #rest(next: Lane["status"], delayMs: number | null, causes: string): Promise<void> {
    if (this.#hasEnded) return;
    const paused = this.#wait.until(delayMs, causes);
    this.#become(next);
    return paused;
  }

  #mayTakeOver(ms: number): void {
    this.#oursUntil = Math.max(this.#oursUntil, this.#clock.now() + ms);
  }

  /** Sends without waiting for company from now on, or no more: nobody looks, and time may be short. */
  #hurry(hurried: boolean): void {
    this.outbox.hurried = hurried;
    if (hurried) this.connection?.pump();
  }
}
