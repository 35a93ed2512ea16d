import { systemClock } from "./clock.js";
import { startClient } from "./core.js";
import type { TidegateError } from "./errors/tidegate-error.js";
import type { CloudEvent } from "./event.js";
import { thisPage } from "./lifecycle.js";
import type { TransportName } from "./link/link.js";
import { loadStartSession } from "./load.js";
import { type Options, settingsOf } from "./options.js";
import { openSlots } from "./outbox/open.js";
import type { DropReason } from "./outbox/outbox.js";
import type { Level, Reason } from "./wire/codes.js";

/** Where a client stands. */
export interface State {
  /**
   * `connecting`: at it. `open`: events travel. `waiting`: for the next attempt, or for something to send. `offline`: the browser
   * says that there is no network. `stopped`: the application has to do what `error` says; events are kept. `closed`: for good.
   */
  readonly status: "connecting" | "open" | "waiting" | "offline" | "stopped" | "closed";
  /** What carries the open connection. */
  readonly transport: TransportName | null;
  /** Why the gateway holds back; `ok` where it does not. Events are kept meanwhile, and nothing needs to be done. */
  readonly reason: Reason;
  /** Why the last connection or attempt ended, or the token function failed; `null` where all is well. */
  readonly error: TidegateError | null;
  /** Events taken and neither acknowledged, refused nor dropped yet. */
  readonly unsettled: {
    /** How many. */
    readonly events: number;
    /** Their JSON, together. */
    readonly bytes: number;
  };
  /** Whether events outlive the page. */
  readonly persistent: boolean;
  /** Name that the gateway knows this client by; `null` before storage is open. */
  readonly client: string | null;
}

/** What a client tells. Events that other tabs left behind count too; `client` is whose numbers they are. */
export interface ClientEvents {
  /** After every change but that of `unsettled`. */
  state: State;
  /** `count` events, the newest of them handed over `latencyMs` ago, are as durable as `level` says. */
  acknowledged: {
    /** Whose numbers they have. */
    readonly client: string;
    /** Lowest number. */
    readonly first: number;
    /** Highest number. */
    readonly last: number;
    /** How many; numbers between that were given up are not among them. */
    readonly count: number;
    /** How durable. */
    readonly level: Level;
    /** From `send` to the acknowledgement, of the newest. */
    readonly latencyMs: number;
  };
  /** The gateway refused an event for good. `unknown`: it settled the event and has forgotten whether it refused it. */
  refused: {
    /** Whose number it has. */
    readonly client: string;
    /** Its number. */
    readonly seq: number;
    /** For programs: section 10 of the protocol. */
    readonly code: string;
    /** For people. */
    readonly message: string;
    /** As it was handed over, with its `time`. */
    readonly event: CloudEvent;
  };
  /** Events were given up: to make room (`overflow`), for their age (`expired`), because they could not go at once (`lossy`), or with the client, being in memory alone (`closed`). */
  dropped: {
    /** Why. */
    readonly reason: DropReason | "lossy";
    /** Oldest first. */
    readonly events: readonly CloudEvent[];
  };
}

/** Sends events, keeps each until it is settled, and takes care of everything between. */
export interface Client {
  /**
   * Resolves when the event is in the outbox and there is room for more: awaiting it is backpressure, not awaiting it is fine too.
   * Rejects with `EventError`, `ClosedError` or `OutboxFullError` (nothing was taken), or when `signal` is aborted (the event is kept).
   */
  send(event: CloudEvent, options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** At most once: handed to the network now, or dropped. Whether it was handed over. Throws `EventError`. */
  sendLossy(event: CloudEvent): boolean;
  /**
   * Resolves when everything sent before is settled. Rejects when `signal` is aborted, with `ClosedError`, and with `RefusedError` when another
   * instance of the client has taken over what is stored: that one sends it.
   */
  flush(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Settles what is possible within 5 s and ends; the rest is stored for the next visit, or told of as `dropped` where it is in memory alone. */
  close(): Promise<void>;
  /** A new token, or function, from now on; starts again where the gateway had refused the old one. Throws `OptionError`. */
  authenticate(token: Options["token"]): void;
  /** Where it stands now. */
  readonly state: State;
  /** Calls `listener` from now on, until the returned function is called. One that throws is reported as uncaught, and breaks nothing. Throws `OptionError` for another name. */
  on<K extends keyof ClientEvents>(name: K, listener: (event: ClientEvents[K]) => void): () => void;
}

/** Connects to the gateway at `url`, of which only the origin matters. Returns at once; throws `OptionError`. */
export function connect(url: string | URL, options?: Options): Client {
  const settings = settingsOf(url, options);
  const now = Date.now;
  return startClient(settings, {
    clock: systemClock,
    now,
    random: Math.random,
    page: thisPage,
    slots: ({ database, name, storage }, onPersistence) =>
      openSlots({ name: database, prefix: name, kind: storage, now, newId, onPersistence }),
    session: loadStartSession,
  });
}

/** 12 random letters and digits. */
function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => (byte % 36).toString(36)).join("");
}
