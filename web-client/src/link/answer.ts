import { FrameError } from "../errors/frame-error.js";
import { LinkError } from "../errors/link-error.js";
import { CloseCode, LEVELS, type Level, type Reason, reasonNamed } from "../wire/codes.js";
import type { Close, Verdict } from "../wire/frames.js";
import { Members } from "../wire/members.js";

/** An HTTP answer, read to its end. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** The header. */
  readonly retryAfter: string | null;
}

/** What an answer means. */
export type Answer =
  /** The events are settled: where the numbering stands now. */
  | {
      readonly kind: "settled";
      readonly upto: number;
      readonly level: Level;
      readonly limit: number;
      readonly list: readonly Verdict[];
    }
  | Refusal;

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
  const members = Members.parse("answer", answer.body);
  const upto = members.integer("upto");
  if (count > 0 && upto < first + count - 1)
    throw new FrameError(`answer.upto: ${upto}, sent up to ${first + count - 1}`);
  const list = members.list("rejected").map((rejected) => {
    const index = rejected.integer("index");
    if (index >= count) throw new FrameError(`answer.rejected: index ${index} of ${count} events`);
    return { seq: first + index, code: rejected.string("code"), refused: true, message: rejected.string("message") };
  });
  return { kind: "settled", upto, level: members.choice("level", LEVELS), limit: members.integer("limit"), list };
}

/** What an answer that is not taken says. Throws `LinkError` where it is not the gateway's, or calls for another link. */
export function refusal({ status, body, retryAfter }: HttpAnswer): Refusal {
  // A proxy may say that as well.
  if (status === 413) return { kind: "too_large" };
  const { reason, detail } = problem(status, body);
  if (reason && (status === 429 || status === 503)) {
    // As seconds; a date, which this gateway does not send, counts as missing.
    const retryMs = Number(retryAfter ?? "") * 1_000;
    return { kind: "busy", reason: reasonNamed(reason), retryMs: retryMs > 0 ? retryMs : null };
  }
  const name = reason && closeName(status, reason);
  if (name) return { kind: "close", close: { code: CloseCode[name], reason: name, msg: detail } };
  if (reason && status === 409) return { kind: "conflict" };
  throw new LinkError(`HTTPS: answered ${status || "with a redirect"} ${detail}`);
}

function closeName(status: number, reason: string): keyof typeof CloseCode | null {
  if (status === 400) return "bad_frame";
  if (status === 401) return "auth";
  if (status === 403) return reason === "origin" ? reason : "auth";
  return status === 409 && (reason === "stale_epoch" || reason === "taken_over") ? reason : null;
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
