import type { TokenError as Failure } from "../errors/token-error.js";
import type { Token } from "../options.js";
import type { Platform } from "../platform.js";
import { Backoff, TokenError, within } from "./shared.js";
import { ANSWER_TIMEOUT_MS, BEFORE_END_MS, DELAY_MAX_MS, RENEW_MIN_MS } from "./timing.js";

/** The application's token: asks its function, keeps the answer while it is good, and renews it in time. */
export interface TokenSource {
  /** A token for a new session, `undefined` where none was given. Rejects with `TokenError`. */
  get(): Promise<string | undefined>;
  /** The token at hand, for where nothing can be waited for. */
  current(): string | undefined;
  /** The gateway did not take the token. Whether the next `get` asks for another one. */
  refused(): boolean;
  /** Another source, from now on; `undefined`: nothing is asked any more. */
  replace(source: Token | undefined): void;
}

/** Whom a token source tells. */
export interface TokenListener {
  /** A fresh token, ahead of the end of the one before: for links that are open. */
  renewed(token: string): void;
  /** Renewing failed and will be tried again; `null`: it works again. */
  failed(error: Failure | null): void;
}

/** Asks nothing by itself before the first `get`. */
export function tokenSource(
  given: Token | undefined,
  { clock, now, random }: Pick<Platform, "clock" | "now" | "random">,
  { renewed, failed }: TokenListener,
): TokenSource {
  const backoff = new Backoff(random);
  let source = given;
  let kept: { readonly token: string; readonly expiresAt: number } | null = null;
  let asking: Promise<string> | null = null;
  let cancelRenewal = () => {};

  const ask = async (from: Exclude<Token, string>): Promise<string> => {
    try {
      const late = () => new Error(`no answer within ${ANSWER_TIMEOUT_MS / 1000} s`);
      const answer: unknown = await within(clock, ANSWER_TIMEOUT_MS, (async () => from())(), late);
      const { token, expiresAt = Number.POSITIVE_INFINITY } = Object(
        typeof answer === "string" ? { token: answer } : answer,
      );
      const end = Number(expiresAt);
      if (typeof token !== "string" || token === "" || Number.isNaN(end)) {
        throw new Error("expected a string, or { token, expiresAt } with Unix ms or a Date");
      }
      if (source === from) keep(token, end);
      return token;
    } catch (cause) {
      throw new TokenError(`token function: ${cause instanceof Error ? cause.message : cause}`, { cause });
    } finally {
      if (source === from) asking = null;
    }
  };

  const keep = (token: string, expiresAt: number) => {
    const lifeMs = expiresAt - now();
    kept = { token, expiresAt };
    failed(null);
    backoff.reset();
    // One that has ended already, by this device's clock, is for the gateway to judge.
    if (lifeMs > 0) renewAfter(Math.max(Math.min(lifeMs * 0.8, lifeMs - BEFORE_END_MS), lifeMs / 2, RENEW_MIN_MS));
  };

  const renewAfter = (delayMs: number) => {
    cancelRenewal();
    cancelRenewal = clock.after(Math.min(delayMs, DELAY_MAX_MS), renew);
  };

  const renew = async () => {
    const from = source;
    if (typeof from !== "function") return;
    try {
      const token = await asked(from);
      if (source === from) renewed(token);
    } catch (error) {
      if (source !== from) return;
      failed(error as Failure);
      renewAfter(backoff.next() + 1_000);
    }
  };

  const asked = (from: Exclude<Token, string>) => {
    asking ??= ask(from);
    return asking;
  };

  return {
    get: async () => {
      if (typeof source !== "function") return source;
      return kept && now() < kept.expiresAt ? kept.token : asked(source);
    },
    current: () => (typeof source === "function" ? kept?.token : source),
    refused: () => {
      kept = null;
      return typeof source === "function";
    },
    replace: (next) => {
      source = next;
      kept = asking = null;
      cancelRenewal();
      if (typeof next === "string") renewed(next);
      else void renew();
    },
  };
}
