import type { Level, Reason } from "./codes.js";

// Members keep the names they have on the wire, so these types read like the protocol's tables.

/** First frame of a client. */
export interface Hello {
  readonly v: 1;
  readonly token?: string | undefined;
  /** 1-128 of `[A-Za-z0-9._:-]`; without it nothing can be resumed. */
  readonly client?: string;
  /** Names the numbering that is resumed; absent for a new one. */
  readonly epoch?: number;
  /** Lowest number not seen acknowledged. */
  readonly next?: number;
  /** Unix ms. */
  readonly sent_at?: number;
  readonly sdk?: string;
  readonly verbose?: boolean;
}

/** What became of one event, where that needs a word. */
export interface Verdict {
  readonly seq: number;
  /** The code's name, such as `schema`. */
  readonly code: string;
  /** False for codes that only inform about an event that was taken. */
  readonly refused: boolean;
  readonly message: string;
}

/** The gateway's answer to HELLO, as far as this client looks at it. */
export interface Welcome {
  /** Null for an anonymous session. */
  readonly epoch?: number | null;
  /** Whether the gateway knew this client and epoch. */
  readonly resumed: boolean;
  /** Everything up to here is settled; send again from `upto + 1`. */
  readonly upto: number;
  readonly limit: number;
  readonly limit_bytes: number;
  /** What an acknowledgement is worth on this gateway. */
  readonly level: Level;
  readonly rej: readonly Verdict[];
  /** Older refusals are forgotten. */
  readonly rej_more: boolean;
  readonly ping_ms: number;
  readonly max_event_bytes: number;
  readonly max_frame_bytes: number;
  readonly max_batch_events: number;
  readonly datagrams: boolean;
}

/** One event as it travels: of alias 0, for this client has no use for DEFINE. */
export interface EventRecord {
  /** The whole structured CloudEvent, JSON. */
  readonly payload: string;
  /** Of the payload as UTF-8. */
  readonly bytes: number;
}

/** Consecutive events. No records: everything below `first_seq` that was not sent is given up. */
export interface Events {
  readonly first_seq: number;
  /** Never acknowledged; `first_seq` then counts in a number space of its own. */
  readonly lossy?: boolean;
  readonly records: readonly EventRecord[];
}

/** Cumulative acknowledgement and absolute credit. */
export interface Ack {
  readonly upto: number;
  readonly level: Level;
  readonly limit: number;
  readonly limit_bytes: number;
  readonly reason: Reason;
  readonly retry_ms: number;
  readonly list: readonly Verdict[];
}

/** Attributes that `alias` stands for, on this connection, from here on. */
export interface Define {
  readonly alias: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

/** Stop sending, wait for acknowledgements, reconnect after `after_ms` and a random part of `jitter_ms`. */
export interface Goaway {
  readonly after_ms: number;
  readonly jitter_ms: number;
  readonly url?: string;
}

/** Last frame of either side. */
export interface Close {
  readonly code: number;
  readonly reason: string;
  readonly msg?: string;
  readonly retry_ms?: number;
}

/** What the client lost and how fast acknowledgements were, since the last report. */
export interface Report {
  /** Events that the client gave up, by cause. */
  readonly dropped: { readonly overflow: number; readonly expired: number; readonly too_large: number };
  /** Changes of carrier. */
  readonly switches: number;
  /** At most 64 buckets, rising: upper bound in ms (`null` for the rest) and count. */
  readonly ack_ms: readonly (readonly [number | null, number])[];
}

/** A fresh token for the same tenant and client. */
export interface Reauth {
  readonly token: string;
}

/** Frames that a client sends. The body of PING and PONG is at most 8 opaque bytes. */
export type ClientFrame =
  | { readonly type: "hello"; readonly body: Hello }
  | { readonly type: "events"; readonly body: Events }
  | { readonly type: "define"; readonly body: Define }
  | { readonly type: "ping" | "pong"; readonly body: Uint8Array }
  | { readonly type: "close"; readonly body: Close }
  | { readonly type: "report"; readonly body: Report }
  | { readonly type: "reauth"; readonly body: Reauth };

/** Frames that a gateway sends; `unknown` is a type of a later version, to be ignored. */
export type GatewayFrame =
  | { readonly type: "welcome"; readonly body: Welcome }
  | { readonly type: "ack"; readonly body: Ack }
  | { readonly type: "ping" | "pong"; readonly body: Uint8Array }
  | { readonly type: "goaway"; readonly body: Goaway }
  | { readonly type: "close"; readonly body: Close }
  | { readonly type: "unknown" };
