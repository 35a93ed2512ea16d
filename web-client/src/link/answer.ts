import { CloseCode } from "../wire/close-code.js";
import type { Level, Reason } from "../wire/codes.js";
import type { Close, Verdict } from "../wire/frames.js";
import type { HttpAnswer } from "./request.js";

/** The events are settled: where the numbering stands now. */
export interface Settled {
  readonly kind: "settled";
  readonly upto: number;
  readonly level: Level;
  readonly limit: number;
  readonly list: readonly Verdict[];
}

/** Why nothing of a request was taken, and what that calls for. */
export type Refusal =
  /** Ask again later: after `retryMs`, where the gateway said so. */
  | { readonly kind: "busy"; readonly reason: Reason; readonly retryMs: number | null }
  /** Ask again soon: another request of this client is under way. */
  | { readonly kind: "conflict" }
  /** Ask in smaller parts. */
  | { readonly kind: "too_large" }
  /** A session would have been closed like this. */
  | { readonly kind: "close"; readonly close: Close };

/** A refusal of one event, as it comes. */
interface Rejection {
  readonly index: number;
  readonly code: string;
  readonly message: string;
}

const HELD_BACK: readonly Reason[] = ["rate", "broker", "full", "draining", "quota", "memory"];

/** CLOSE codes by the reason of a refusal, or by its status. */
const CLOSES: Readonly<Record<string, CloseCode>> = {
  origin: CloseCode.origin,
  stale_epoch: CloseCode.stale_epoch,
  taken_over: CloseCode.taken_over,
  400: CloseCode.bad_frame,
  401: CloseCode.auth,
  403: CloseCode.auth,
};

/** Whether the gateway took the request; it may have refused single events. */
export function isTaken({ status }: HttpAnswer): boolean {
  return status === 200 || status === 422;
}

/** What an answer that is taken says of `count` events from number `first` on. Throws where it is no answer to them. */
export function judge({ body }: HttpAnswer, first: number, count: number): Settled {
  const { upto, level, limit, rejected } = JSON.parse(body);
  const end = count > 0 ? first + count - 1 : 0;
  const numbered = Number.isSafeInteger(upto) && upto >= end && Number.isSafeInteger(limit);
  if (!numbered || (level !== "stored" && level !== "committed")) throw new Error(`https: no answer to event ${end}`);
  const list = (rejected ?? []).map(({ index, code, message }: Rejection) => {
    if (!(index >= 0 && index < count)) throw new Error("https: an event was refused that was not sent");
    return { seq: first + index, code: `${code}`, refused: true, message: `${message}` };
  });
  return { kind: "settled", upto, level, limit, list };
}

/** What an answer that is not taken says. Throws where it is not the gateway's, or calls for another link. */
export function refusal({ status, body, retryAfter }: HttpAnswer): Refusal {
  // A proxy may say that as well.
  if (status === 413) return { kind: "too_large" };
  const { reason, detail } = problem(status, body);
  if (reason && (status === 429 || status === 503)) {
    // As seconds; a date, which this gateway does not send, counts as missing.
    const retryMs = Number(retryAfter) * 1_000 || null;
    return { kind: "busy", reason: HELD_BACK.find((name) => name === reason) ?? "unknown", retryMs };
  }
  const code = reason && (CLOSES[reason] ?? CLOSES[status]);
  if (code) return { kind: "close", close: { code, reason, msg: detail } };
  if (reason && status === 409) return { kind: "conflict" };
  throw new Error(`https: answered ${status || "with a redirect"} ${detail}`);
}

/** The problem document; without `reason` it is something else that answered. */
function problem(status: number, body: string): { reason?: string; detail: string } {
  try {
    const { status: said, reason, detail } = JSON.parse(body);
    if (said === status) return { reason: `${reason}`, detail: `${detail}`.slice(0, 200) };
  } catch {
    // Said below.
  }
  return { detail: "" };
}
