import { Backoff } from "./backoff.js";
import { LinkError } from "./errors/link-error.js";
import type { TidegateError } from "./errors/tidegate-error.js";
import type { PageSignal } from "./lifecycle.js";
import type { Platform } from "./platform.js";
import type { Session, StartSession } from "./session/session.js";

/** The part of the client that talks to gateways, which is a file of its own, on its way in. */
export interface Loading {
  /** As a lane's; `connecting` once it is there. */
  readonly status: "connecting" | "waiting" | "offline";
  /** Why it could not be had the last time. */
  readonly error: TidegateError | null;
  /** Resolves when it is there, and has begun. Never rejects. */
  readonly session: Promise<Session>;
  /** Something happens to the page: a reason to try at once. */
  heed(signal: PageSignal): void;
  /** It is not needed any more. */
  stop(): void;
}

/** Begins to load it, again and again until it is there. `begin` is called then, `changed` when `status` or `error` have changed. */
export function loadSession(
  { clock, random, page, session }: Platform,
  begin: (start: StartSession) => Session,
  changed: () => void,
): Loading {
  const backoff = new Backoff(random);
  let status: Loading["status"] = "connecting";
  let error: TidegateError | null = null;
  let stopped = false;
  let cancel = () => {};
  let wake = () => {};

  const become = (next: Loading["status"], why: TidegateError | null) => {
    status = next;
    error = why;
    if (!stopped) changed();
  };

  const load = async (): Promise<Session> => {
    for (;;) {
      try {
        const start = await session();
        // Nobody waits any more.
        if (stopped) return new Promise(() => {});
        const begun = begin(start);
        become("connecting", null);
        return begun;
      } catch (cause) {
        const advice = "is session.js served beside the file that loads it, and allowed by the page's policy?";
        const failure = new LinkError(`${(cause as Error).message}; ${advice}`);
        const paused = new Promise<void>((resolve) => {
          wake = resolve;
          if (!stopped) cancel = clock.after(backoff.next(), resolve);
        });
        become(page.online ? "waiting" : "offline", failure);
        await paused;
        cancel();
        become("connecting", failure);
      }
    }
  };

  return {
    get status() {
      return status;
    },
    get error() {
      return error;
    },
    session: load(),
    heed: (signal) => {
      if (signal === "online" || signal === "visible" || signal === "pageshow") wake();
    },
    stop: () => {
      stopped = true;
      cancel();
    },
  };
}
