import type { Ending } from "./connection.js";
import { RefusedError } from "./errors/refused-error.js";
import { CloseCode } from "./wire/close-code.js";

/** What to do after a connection. */
export type Step =
  /** Come back after a wait with jitter, and at least after what the gateway asked for. */
  | { readonly kind: "retry" }
  /** Come back when there is something to send. */
  | { readonly kind: "rest" }
  /** Come back with a fresh token. */
  | { readonly kind: "renew" }
  /** Come back with a higher epoch: the numbers are not ours alone. */
  | { readonly kind: "renumber" }
  /** Come back with smaller frames. */
  | { readonly kind: "shrink" }
  /** Another instance has the name: leave the slot to it. */
  | { readonly kind: "leave" }
  /** Wait for the application. */
  | { readonly kind: "stop"; readonly error: RefusedError };

/** What the next step depends on beside the ending. */
export interface Circumstances {
  /** A newer connection of this client is our own. */
  readonly ourTakeover: boolean;
  /** The token function has not been asked yet since the last token was good. */
  readonly renewable: boolean;
}

/** Section 10 of the protocol. Codes it does not know are as good as none. */
export function stepAfter({ code, message, ahead }: Ending, { ourTakeover, renewable }: Circumstances): Step {
  if (ahead) return { kind: "renumber" };
  switch (code) {
    case CloseCode.auth:
    case CloseCode.auth_expired:
      return renewable ? { kind: "renew" } : stop(code, message, "give a good token to authenticate()");
    case CloseCode.version:
      return stop(code, message, "update this client or the gateway");
    case CloseCode.origin:
      return stop(code, message, "allow this page's origin in the gateway's configuration");
    case CloseCode.taken_over:
      return { kind: ourTakeover ? "retry" : "leave" };
    case CloseCode.stale_epoch:
      return { kind: "renumber" };
    case CloseCode.too_large:
      return { kind: "shrink" };
    case CloseCode.idle:
    case CloseCode.done:
      return { kind: "rest" };
    default:
      return { kind: "retry" };
  }
}

function stop(code: number, message: string, advice: string): Step {
  return { kind: "stop", error: new RefusedError(code, `the gateway refused the session (${message}): ${advice}`) };
}
