import type { TidegateError } from "./errors/tidegate-error.js";
import type { PageSignal } from "./lifecycle.js";
import type { Loading } from "./loading.js";
import type { Outbox } from "./outbox/outbox.js";
import type { Platform } from "./platform.js";
import type { Reporter } from "./report.js";
import type { Connection } from "./session/connection.js";
import type { Welcome } from "./wire/frames.js";

/** What a lane works with. */
export interface LaneParts {
  readonly outbox: Outbox;
  /** What to tell the gateway about this client; `null`: nothing. */
  readonly reporter: Reporter | null;
  /** How long to wait before the first attempt. */
  readonly delayMs: number;
  /** Something that a lane shows has changed; `welcome`: the gateway has answered. Must not throw. */
  readonly changed: (welcome?: Welcome) => void;
}

/** One slot's life: connects, converses, comes back after breaks, and ends when it is told to. */
export interface Lane {
  readonly outbox: Outbox;
  /** `waiting`: for the next attempt. `stopped`: until the application does something about `error`. */
  readonly status: "connecting" | "open" | "waiting" | "offline" | "stopped" | "closed";
  /** What the last connection, or the last attempt, ended with; `null` once one is open. */
  readonly error: TidegateError | null;
  /** That events go to. It may have ended. */
  readonly connection: Connection | null;
  /** Whether another instance has the name, or the slot. Never rejects. */
  readonly ended: Promise<boolean>;
  /** Events were settled or given up. */
  settled(): void;
  /** Something happens to the page: a reason to hurry, to try at once, or to ask whether the gateway is still there. */
  heed(signal: PageSignal): void;
  /** There is another token. */
  authenticate(): void;
  /** Has what no connection has taken posted, by a request that takes the session over, if that can be done at once. */
  post(): void;
  /** Ends when the outbox is empty; with `timeoutMs` then at the latest, and at once where nothing is being sent. */
  close(timeoutMs?: number): void;
  /** Ends at once; `left`: because another instance has the slot. */
  end(left?: boolean): void;
}

/** A lane that begins as soon as the session is loaded, and until then shows how that goes. */
export function startLane(parts: LaneParts, loading: Loading, { clock }: Pick<Platform, "clock">): Lane {
  const { outbox } = parts;
  let lane: Lane | null = null;
  let over = false;
  let closing = false;
  let closeMs: number | undefined;
  let cancelClose = () => {};
  let tellEnd: (left: boolean) => void;
  const ended = new Promise<boolean>((resolve) => {
    tellEnd = resolve;
  });

  const settled = () => {
    if (lane) lane.settled();
    else if (closing && outbox.length === 0) end();
  };

  const end = (left = false) => {
    over = true;
    cancelClose();
    if (lane) lane.end(left);
    else tellEnd(left);
  };

  void loading.session.then((session) => {
    if (over) return;
    cancelClose();
    lane = session.startLane(parts);
    lane.ended.then(tellEnd);
    if (closing) lane.close(closeMs);
  });
  return {
    outbox,
    ended,
    get status() {
      return lane?.status ?? (over ? "closed" : loading.status);
    },
    get error() {
      return lane ? lane.error : loading.error;
    },
    get connection() {
      return lane?.connection ?? null;
    },
    settled,
    heed: (signal) => lane?.heed(signal),
    authenticate: () => lane?.authenticate(),
    post: () => lane?.post(),
    close: (timeoutMs) => {
      if (lane) return lane.close(timeoutMs);
      if (closing) return;
      closing = true;
      closeMs = timeoutMs;
      if (timeoutMs && loading.status === "offline") return end();
      if (timeoutMs) cancelClose = clock.after(timeoutMs, () => end());
      settled();
    },
    end,
  };
}
