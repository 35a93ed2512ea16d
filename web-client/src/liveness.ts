/** Judges whether the gateway still answers. */
export class Liveness {
  readonly #silenceMs: number;
  #heardAt: number;
  #pingedAt: number | null = null;

  /** `silenceMs`: how long a gateway that owes an answer may be silent before it is asked, and how long until it must answer then. */
  constructor(now: number, silenceMs: number) {
    this.#heardAt = now;
    this.#silenceMs = silenceMs;
  }

  /** Any frame has come. */
  heard(now: number): void {
    this.#heardAt = now;
    this.#pingedAt = null;
  }

  /** A PING is sent now for a reason of its own. */
  asked(now: number): void {
    this.#pingedAt ??= now;
  }

  /** What to do now: `ping` after silence while events wait for their acknowledgement, `dead` when that brought nothing. */
  check(now: number, waiting: boolean): "fine" | "ping" | "dead" {
    if (this.#pingedAt !== null) return now - this.#pingedAt < this.#silenceMs ? "fine" : "dead";
    if (!waiting || now - this.#heardAt < this.#silenceMs) return "fine";
    this.#pingedAt = now;
    return "ping";
  }
}
