/** Frame types by their number; 0x80-0xff are reserved for later and ignored when unknown. */
export const FRAME_TYPES = [
  "",
  "hello",
  "welcome",
  "events",
  "ack",
  "define",
  "ping",
  "pong",
  "goaway",
  "close",
  "report",
  "reauth",
] as const;

/** What an acknowledgement is worth: `stored` is fsynced in the gateway's log, `committed` is in Kafka on all in-sync replicas. */
export type Level = "stored" | "committed";

/** All of them; ACK has them as bytes from 1 on. */
export const LEVELS: readonly Level[] = ["stored", "committed"];

export function isLevel(value: unknown): value is Level {
  return LEVELS.some((level) => level === value);
}

/** Why a gateway holds credit back; `unknown` is a reason that came after this version. */
export type Reason = "ok" | "rate" | "broker" | "full" | "draining" | "quota" | "memory" | "unknown";

/** By the byte that ACK has. */
export const REASONS: readonly Reason[] = ["ok", "rate", "broker", "full", "draining", "quota", "memory"];

const EVENT_CODES: Readonly<Record<number, string>> = {
  1: "malformed",
  2: "too_large",
  3: "schema",
  4: "unrouted",
  5: "forbidden",
  6: "expired",
  7: "broker_rejected",
  16: "filtered",
  17: "sampled",
  18: "duplicate",
  19: "throttled",
};

/** The name of a per-event code, `code_<n>` for one that came after this version. */
export function eventCodeName(code: number): string {
  return EVENT_CODES[code] ?? `code_${code}`;
}

/** Codes below this are refusals and final; from here on they only inform. */
export const FIRST_INFORMATIVE_CODE = 16;
