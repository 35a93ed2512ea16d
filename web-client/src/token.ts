import { Backoff } from "./backoff.js";
import type { Clock } from "./clock.js";
import { TokenError } from "./errors/token-error.js";
import type { Token } from "./options.js";

/** What a token source works with. */
export interface TokenParts {
  readonly clock: Clock;
  /** Unix ms. */
  readonly now: () => number;
  readonly random: () => number;
  /** A fresh token, ahead of the end of the one before: for links that are open. */
  readonly renewed: (token: string) => void;
  /** Renewing failed and will be tried again; `null`: it works again. */
  readonly failed: (error: TokenError | null) => void;
}

const ANSWER_TIMEOUT_MS = 30_000;
const BEFORE_END_MS = 60_000;
const RENEW_MIN_MS = 5_000;
/** Timers take no longer delay. */
const DELAY_MAX_MS = 2 ** 31 - 1;

/** The application's token: asks its function, keeps the answer while it is good, and renews it in time. */
export class TokenSource {
  readonly #parts: TokenParts;
  readonly #backoff: Backoff;
  #source: Token | undefined;
  #kept: { readonly token: string; readonly expiresAt: number } | null = null;
  #asking: Promise<string> | null = null;
  #cancelRenewal: () => void = () => {};
  #stopped = false;

  constructor(source: Token | undefined, parts: TokenParts) {
    this.#parts = parts;
    this.#backoff = new Backoff(parts.random);
    this.#source = source;
  }

  /** Whether asking again could bring another token. */
  get renewable(): boolean {
    return typeof this.#source === "function";
  }

  /** A token for a new session, `undefined` where none was given. Rejects with `TokenError`. */
  get(): Promise<string | undefined> {
    if (typeof this.#source !== "function") return Promise.resolve(this.#source);
    if (this.#kept && this.#parts.now() < this.#kept.expiresAt) return Promise.resolve(this.#kept.token);
    return this.#ask(this.#source);
  }

  /** The token at hand, for where nothing can be waited for. */
  get current(): string | undefined {
    return typeof this.#source === "function" ? this.#kept?.token : this.#source;
  }

  /** The gateway did not take the token: the next `get` asks for another one. */
  refused(): void {
    this.#kept = null;
  }

  /** Another source, from now on. */
  replace(source: Token | undefined): void {
    this.#source = source;
    this.#kept = null;
    this.#asking = null;
    this.#cancelRenewal();
    if (typeof source === "string") this.#parts.renewed(source);
    else if (source) this.#renew();
  }

  /** Asks for nothing any more. */
  stop(): void {
    this.#stopped = true;
    this.#cancelRenewal();
  }

  #ask(source: Exclude<Token, string>): Promise<string> {
    if (this.#asking) return this.#asking;
    const asking = this.#answer(source)
      .then((kept) => {
        if (this.#source === source) this.#keep(kept);
        return kept.token;
      })
      .finally(() => {
        if (this.#asking === asking) this.#asking = null;
      });
    this.#asking = asking;
    return asking;
  }

  async #answer(source: Exclude<Token, string>): Promise<{ token: string; expiresAt: number }> {
    let cancel = () => {};
    try {
      const late = new Promise<never>((_, reject) => {
        const message = `no answer within ${ANSWER_TIMEOUT_MS / 1000} s`;
        cancel = this.#parts.clock.after(ANSWER_TIMEOUT_MS, () => reject(new Error(message)));
      });
      const answer: unknown = await Promise.race([(async () => source())(), late]);
      const { token, expiresAt } = (typeof answer === "string" ? { token: answer } : (answer ?? {})) as {
        token?: unknown;
        expiresAt?: unknown;
      };
      const end = expiresAt === undefined ? Number.POSITIVE_INFINITY : Number(expiresAt);
      if (typeof token !== "string" || token === "" || Number.isNaN(end)) {
        throw new Error("expected a string, or { token, expiresAt } with Unix ms or a Date");
      }
      return { token, expiresAt: end };
    } catch (error) {
      throw new TokenError(`token function: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    } finally {
      cancel();
    }
  }

  #keep(kept: { readonly token: string; readonly expiresAt: number }): void {
    const lifeMs = kept.expiresAt - this.#parts.now();
    this.#kept = kept;
    if (!this.#stopped) this.#parts.failed(null);
    this.#backoff.reset();
    this.#cancelRenewal();
    // One that has ended already, by this device's clock, is for the gateway to judge.
    if (this.#stopped || lifeMs <= 0 || lifeMs === Number.POSITIVE_INFINITY) return;
    this.#renewAfter(
      Math.max(Math.min(lifeMs * 0.8, lifeMs - BEFORE_END_MS), Math.min(RENEW_MIN_MS, lifeMs * 0.8), 1_000),
    );
  }

  #renewAfter(delayMs: number): void {
    this.#cancelRenewal = this.#parts.clock.after(Math.min(delayMs, DELAY_MAX_MS), () => this.#renew());
  }

  #renew(): void {
    const source = this.#source;
    if (typeof source !== "function" || this.#stopped) return;
    this.#ask(source).then(
      (token) => {
        if (this.#source === source && !this.#stopped) this.#parts.renewed(token);
      },
      (error: TokenError) => {
        if (this.#source !== source || this.#stopped) return;
        this.#parts.failed(error);
        this.#renewAfter(this.#backoff.next() + 1_000);
      },
    );
  }
}
