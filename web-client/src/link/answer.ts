import { FrameError } from "../errors/frame-error.js";
import { LinkError } from "../errors/link-error.js";
import { CloseCode, isLevel, type Level, REASONS, type Reason } from "../wire/codes.js";
import type { Close, Verdict } from "../wire/frames.js";
import { integer, listOf, optional, parse, string } from "../wire/shape.js";

/** An HTTP answer, read to its end. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** The header. */
  readonly retryAfter: string | null;
}

/** What an answer means. */
export type Answer = Settled | Refusal;

/** The events are settled: where the numbering stands now. */
interface Settled {
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

/** The body of an answer that is taken. */
interface Body extends Omit<Settled, "kind" | "list"> {
  readonly rejected?: readonly { readonly index: number; readonly code: string; readonly message: string }[] | null;
}

const BODY = {
  upto: integer,
  level: isLevel,
  limit: integer,
  rejected: optional(listOf({ index: integer, code: string, message: string })),
};

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

/**
 * What the answer to `count` events from number `first` on says. Throws `LinkError` where it settles nothing and they are to be sent again
 * on another link, `FrameError` where it is no answer to them.
 */
export function judge(answer: HttpAnswer, first: number, count: number): Answer {
  if (!isTaken(answer)) return refusal(answer);
  const { upto, level, limit, rejected } = parse<Body>("answer", answer.body, BODY);
  const list = (rejected ?? []).map(({ index, code, message }) => ({
    seq: first + index,
    code,
    refused: true,
    message,
  }));
  const last = first + count - 1;
  if (count > 0 && upto < last) throw new FrameError(`answer: settles up to ${upto}, asked for ${last}`);
  if (list.some(({ seq }) => seq > last)) throw new FrameError("answer: refuses an event that was not sent");
  return { kind: "settled", upto, level, limit, list };
}

/** What an answer that is not taken says. Throws `LinkError` where it is not the gateway's, or calls for another link. */
export function refusal({ status, body, retryAfter }: HttpAnswer): Refusal {
  // A proxy may say that as well.
  if (status === 413) return { kind: "too_large" };
  const { reason, detail } = problem(status, body);
  if (reason && (status === 429 || status === 503)) {
    // As seconds; a date, which this gateway does not send, counts as missing.
    const retryMs = Number(retryAfter) * 1_000 || null;
    return { kind: "busy", reason: REASONS.find((name) => name === reason) ?? "unknown", retryMs };
  }
  const code = reason && (CLOSES[reason] ?? CLOSES[status]);
  if (code) return { kind: "close", close: { code, reason, msg: detail } };
  if (reason && status === 409) return { kind: "conflict" };
  throw new LinkError(`https: answered ${status || "with a redirect"} ${detail}`);
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
