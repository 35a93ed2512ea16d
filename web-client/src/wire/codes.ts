/** Frame types by their number; 0x80-0xff are reserved for later and ignored when unknown. */
export const FRAME_TYPES = " hello welcome events ack define ping pong goaway close report reauth".split(" ");

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
export const REASONS = "ok rate broker full draining quota memory".split(" ") as readonly Reason[];

const REFUSALS = " malformed too_large schema unrouted forbidden expired broker_rejected".split(" ");
const INFORMATIVE = "filtered sampled duplicate throttled".split(" ");

/** The name of a per-event code, `code_<n>` for one that came after this version. */
export function eventCodeName(code: number): string {
  return REFUSALS[code] || (INFORMATIVE[code - FIRST_INFORMATIVE_CODE] ?? `code_${code}`);
}

/** Codes below this are refusals and final; from here on they only inform. */
export const FIRST_INFORMATIVE_CODE = 16;
