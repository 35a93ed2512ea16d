import type { DiscoveryError } from "../errors/discovery-error.js";
import type { TidegateError } from "../errors/tidegate-error.js";
import type { Lane, LaneParts } from "../lane.js";
import type { Farewell } from "../link/farewell.js";
import type { Link, Route, TransportName } from "../link/link.js";
import type { Settings } from "../options.js";
import { CloseCode } from "../wire/close-code.js";
import type { Welcome } from "../wire/frames.js";
import { type Connection, connection, type Ending } from "./connection.js";
import type { Network, SessionParts } from "./session.js";
import { Backoff, LinkError, RefusedError } from "./shared.js";
import { OFFLINE_MAX_MS, OVERTAKEN_MS, POSTED_MS } from "./timing.js";
import type { TokenSource } from "./token.js";
import { newUpgrade } from "./upgrade.js";
import { newWait } from "./wait.js";
import { newWays } from "./ways.js";

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
export function runLane(parts: RunParts): Lane {
  const { outbox, settings, platform, preference, token, reporter, changed } = parts;
  const { clock, now, random, page } = platform;
  const backoff = new Backoff(random);
  const wait = newWait(clock);
  const limits = { ...settings.batch };
  let status: Lane["status"] = "connecting";
  let error: TidegateError | null = null;
  let current: Connection | null = null;
  let elsewhere: string | undefined;
  let transport: TransportName | undefined;
  /** Another token was given since the last HELLO: what the gateway refuses is not that one. */
  let fresh = false;
  /** The token function has been asked since the last token that did something. */
  let renewed = false;
  /** Until then a takeover may be our own doing. */
  let oursUntil = 0;
  /** Up to here a request of the page's has taken events, which it may be told of until then. */
  let posted = 0;
  let postedUntil = 0;
  let closing = false;
  let cancelClose = () => {};
  let tellEnd: (left: boolean) => void;

  const hasEnded = () => status === "closed";
  const ways = newWays(parts, hasEnded);
  const become = (next: Lane["status"]) => {
    if (hasEnded()) return;
    status = next;
    changed();
  };
  const isOver = () => hasEnded() || (closing && outbox.length === 0);

  /** What those do who are told of the state cuts the wait short, too. */
  const rest = async (next: Lane["status"], delayMs: number | null, causes: string) => {
    if (hasEnded()) return;
    const paused = wait.until(delayMs, causes);
    become(next);
    return paused;
  };

  const converse = (link: Link, secret: string | undefined) => connection(parts, limits, link, secret, opened);

  const opened = (mine: Connection, welcome: Welcome) => {
    if (mine !== current) current?.stop();
    current = mine;
    error = null;
    if (transport && transport !== mine.name) reporter?.count("switches");
    transport = mine.name;
    status = "open";
    changed(welcome);
    upgrade.plan(mine);
    settled();
  };

  const upgrade = newUpgrade({
    clock,
    preference,
    open: ways.open,
    routes: () => ways.routes,
    isOver: () => closing || hasEnded(),
    converse: (link) => {
      mayTakeOver(OVERTAKEN_MS);
      return converse(link, token.current());
    },
  });

  /** Tries one transport after the other until one gets as far as WELCOME, and stays until that is over, and what took over. */
  const attempt = async (): Promise<Ending> => {
    const target = elsewhere;
    elsewhere = undefined;
    let routes: readonly Route[] | null = null;
    let failure: Ending;
    try {
      routes = await ways.find(target);
      for (let left = preference.order(routes); ; ) {
        // While nothing is open that would have to wait for it.
        const secret = await token.get();
        fresh = false;
        const link = await ways.open(left);
        current = converse(link, secret);
        const ending = await current.ended;
        const later = await upgrade.heirs();
        ways.giveUp();
        left = left.filter(({ transport }) => transport !== link.name);
        if (later) return later;
        if (ending.welcomed || ending.code || isOver()) return ending;
        failure = ending;
        if (left.length === 0) break;
      }
    } catch (cause) {
      failure = { error: LinkError.from("gateway", cause), retryMs: (cause as Partial<DiscoveryError>).retryMs };
    }
    return (routes && (await ways.foreign())) ?? failure;
  };

  /** What follows from how a connection ended: section 10 of the protocol. Codes it does not know are as good as none. */
  const recover = async ({ code = 0, error: cause, retryMs, url, useful }: Ending) => {
    if (useful) {
      backoff.reset();
      renewed = false;
    }
    const ours = clock.now() < oursUntil;
    mayTakeOver(transport === "https" ? POSTED_MS : OVERTAKEN_MS);
    elsewhere = url;
    error = cause;
    let asked = retryMs;
    const isAuth = code === CloseCode.auth || code === CloseCode.auth_expired;
    if (isAuth && (fresh || (!renewed && token.refused()))) {
      renewed = !fresh;
    } else if (ADVICE[code]) {
      error = new RefusedError(code, `the gateway refused the session (${cause.message}): ${ADVICE[code]}`);
      if (closing) return end();
      return rest("stopped", null, "token");
    } else if (code === CloseCode.taken_over) {
      if (!ours) return end(true);
    } else if (code === CloseCode.stale_epoch) {
      become("waiting");
      postedUntil = 0;
      // Storage that fails is the outbox's matter: it lives on in memory, or tells that the slot is lost.
      await outbox.restart(outbox.client, Math.max(outbox.epoch + 1, now())).catch(() => {});
    } else if ((code === CloseCode.idle || code === CloseCode.done) && outbox.length === 0) {
      error = null;
      await rest("waiting", null, "stored token");
      asked = 0;
    }
    await rest("waiting", backoff.next(asked), asked ? "network token" : SOON);
  };

  const run = async () => {
    if (parts.delayMs > 0) await rest("waiting", parts.delayMs, SOON);
    while (!isOver()) {
      if (!page.online) {
        await rest("offline", OFFLINE_MAX_MS, "network");
        if (isOver()) break;
      }
      become("connecting");
      const ending = await attempt();
      if (hasEnded()) return;
      outbox.sentUpto = Math.max(outbox.upto, clock.now() < postedUntil ? posted : 0);
      if (!isOver()) await recover(ending);
    }
    end();
  };

  const mayTakeOver = (ms: number) => {
    oursUntil = Math.max(oursUntil, clock.now() + ms);
  };

  const settled = () => {
    if (!closing || outbox.length > 0) return;
    upgrade.forgo(current);
    if (current?.isOpen()) current.finish();
    else end();
  };

  /** Sends without waiting for company from now on, or no more: nobody looks, and time may be short. */
  const hurry = (hurried: boolean) => {
    outbox.hurried = hurried;
    if (hurried) current?.pump();
  };

  const end = (left = false) => {
    if (hasEnded()) return;
    cancelClose();
    ways.giveUp();
    upgrade.forgo(current);
    current?.stop();
    become("closed");
    wait.wake();
    tellEnd(left);
  };

  outbox.onStored = () => {
    current?.stored();
    wait.wake("stored");
  };
  hurry(!page.visible);
  void Promise.resolve().then(run);
  return {
    outbox,
    get status() {
      return status;
    },
    get error() {
      return error;
    },
    get connection() {
      return current;
    },
    ended: new Promise((resolve) => {
      tellEnd = resolve;
    }),
    settled,
    heed: (signal) => {
      hurry(signal === "pagehide" || !page.visible);
      if (signal === "visible") wait.wake(signal);
      else if (signal === "pageshow") {
        // After the page was in the back/forward cache no link is what it was.
        backoff.reset();
        current?.stop();
        // Once the end has been noticed there is a wait to cut short.
        clock.after(0, () => wait.wake("network"));
      } else if (signal === "online" || signal === "offline" || signal === "resume") {
        current?.probe();
        wait.wake("network");
      }
    },
    authenticate: () => {
      renewed = false;
      fresh = true;
      wait.wake("token");
    },
    post: () => {
      const url = ways.routes.find(({ transport }) => transport === "https")?.url;
      const last = url && parts.farewell()?.(url, outbox, token.current());
      if (!last) return;
      posted = last;
      postedUntil = clock.now() + POSTED_MS;
      outbox.sentUpto = Math.max(outbox.sentUpto, last);
      mayTakeOver(POSTED_MS);
    },
    close: (timeoutMs) => {
      if (closing) return;
      closing = true;
      if (timeoutMs) {
        if (status === "stopped" || status === "offline") return end();
        cancelClose = clock.after(timeoutMs, () => end());
        wait.wake("network");
      }
      hurry(true);
      settled();
    },
    end,
  };
}
