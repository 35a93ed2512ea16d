const SILENCE_MS = 5_000;

/** Judges whether the gateway still answers. */
export class Liveness {
  #heardAt: number;
  #pingedAt: number | null = null;

  constructor(now: number) {
    this.#heardAt = now;
  }

  /** Any frame has come. */
  heard(now: number): void {
    this.#heardAt = now;
    this.#pingedAt = null;
  }

  /** What to do now: `ping` after 5 s of silence while events wait for their acknowledgement, `dead` 5 s after that. */
  check(now: number, waiting: boolean): "fine" | "ping" | "dead" {
    if (this.#pingedAt !== null) return now - this.#pingedAt < SILENCE_MS ? "fine" : "dead";
    if (!waiting || now - this.#heardAt < SILENCE_MS) return "fine";
    this.#pingedAt = now;
    return "ping";
  }
}
