/** Frame types. 0x80-0xff are reserved for later and ignored when unknown. */
export const FrameType = {
  hello: 0x01,
  welcome: 0x02,
  events: 0x03,
  ack: 0x04,
  define: 0x05,
  ping: 0x06,
  pong: 0x07,
  goaway: 0x08,
  close: 0x09,
  report: 0x0a,
  reauth: 0x0b,
} as const;

/** What an acknowledgement is worth: `stored` is fsynced in the gateway's log, `committed` is in Kafka on all in-sync replicas. */
export type Level = "stored" | "committed";

/** All of them; ACK has them as bytes from 1 on. */
export const LEVELS: readonly Level[] = ["stored", "committed"];

/** The level a byte of ACK stands for, `undefined` if none. */
export function levelOf(byte: number): Level | undefined {
  return LEVELS[byte - 1];
}

/** Why a gateway holds credit back; see `reasonOf`. */
export type Reason = "ok" | "rate" | "broker" | "full" | "draining" | "quota" | "memory" | "unknown";

const REASONS: readonly Reason[] = ["ok", "rate", "broker", "full", "draining", "quota", "memory"];

/** The reason a byte of ACK stands for; `unknown` for one that came after this version. */
export function reasonOf(byte: number): Reason {
  return REASONS[byte] ?? "unknown";
}

/** The same by its name, as HTTP has it. */
export function reasonNamed(name: string): Reason {
  return REASONS.find((reason) => reason === name) ?? "unknown";
}

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

/** Codes of CLOSE. */
export const CloseCode = {
  drain: 4000,
  bad_frame: 4001,
  version: 4002,
  auth: 4003,
  auth_expired: 4004,
  hello_timeout: 4005,
  taken_over: 4006,
  stale_epoch: 4007,
  too_large: 4008,
  idle: 4009,
  overload: 4010,
  origin: 4011,
  internal: 4012,
  done: 4013,
} as const;

const FINAL: ReadonlySet<number> = new Set([
  CloseCode.version,
  CloseCode.auth,
  CloseCode.taken_over,
  CloseCode.stale_epoch,
  CloseCode.origin,
  CloseCode.done,
]);

/** Whether a session that ended with this CLOSE code must not reconnect by itself. */
export function isFinal(code: number): boolean {
  return FINAL.has(code);
}
