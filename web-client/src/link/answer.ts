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

/** The numbering after a request whose events are settled. */
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

/** What an answer means for a request of the numbering. */
export type Answer = Settled | Refusal;

/**
 * What the answer to `count` events from number `first` on says. Throws `LinkError` where it settles nothing and the events are to be
 * sent again on another link, `FrameError` where it is no answer to them.
 */
export function judge(answer: HttpAnswer, first: number, count: number): Answer {
  return isTaken(answer) ? settled(answer.body, first, count) : refusal(answer);
}

/** Whether the gateway took the request; it may have refused single events. */
export function isTaken({ status }: HttpAnswer): boolean {
  return status === 200 || status === 422;
}

/** What an answer that is not taken says. Throws `LinkError` where it is not this gateway's, or calls for another link. */
export function refusal({ status, body, retryAfter }: HttpAnswer): Refusal {
  // A proxy may refuse it as well.
  if (status === 413) return { kind: "too_large" };
  const { reason, detail } = problem(status, body);
  const text = `answered ${status || "with a redirect"}${detail === "" ? "" : `: ${detail}`}`;
  if (reason === null) throw new LinkError(`HTTPS: ${text}`);
  if (status === 429 || status === 503) {
    // As seconds; a date, which this gateway does not send, counts as missing.
    const seconds = Number(retryAfter ?? Number.NaN);
    return { kind: "busy", reason: reasonNamed(reason), retryMs: seconds >= 0 ? seconds * 1_000 : null };
  }
  const name = closeName(status, reason);
  if (name) return { kind: "close", close: { code: CloseCode[name], reason: name, msg: detail } };
  if (status === 409) return { kind: "conflict" };
  throw new LinkError(`HTTPS: ${text}`);
}

function closeName(status: number, reason: string): keyof typeof CloseCode | null {
  if (status === 400) return "bad_frame";
  if (status === 401) return "auth";
  if (status === 403) return reason === "origin" ? reason : "auth";
  return status === 409 && (reason === "stale_epoch" || reason === "taken_over") ? reason : null;
}

/** The problem document; no `reason` where it is none, which is an answer of something else than the gateway. */
function problem(status: number, body: string): { reason: string | null; detail: string } {
  try {
    const { status: said, reason, detail } = JSON.parse(body);
    if (said === status) return { reason: String(reason), detail: String(detail).slice(0, 200) };
  } catch {
    // Said below.
  }
  return { reason: null, detail: "" };
}

function settled(body: string, first: number, count: number): Settled {
  const members = Members.parse("answer", body);
  const upto = members.integer("upto");
  if (upto < first + count - 1) throw new FrameError(`answer.upto: ${upto}, sent up to ${first + count - 1}`);
  return {
    kind: "settled",
    upto,
    level: members.choice("level", LEVELS),
    limit: members.integer("limit"),
    list: members.list("rejected").map((rejected) => verdict(rejected, first, count)),
  };
}

function verdict(rejected: Members, first: number, count: number): Verdict {
  const index = rejected.integer("index");
  if (index >= count) throw new FrameError(`answer.rejected: index ${index} of ${count} events`);
  return { seq: first + index, code: rejected.string("code"), refused: true, message: rejected.string("message") };
}
