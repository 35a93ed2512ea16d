import type { Line } from "./line.js";

/** One live connection: silent while the line is, or for good once it was frozen. */
export class Wire {
  readonly #line: Line;
  readonly #blocked: () => boolean;
  #frozen = false;
  #ended = false;

  /** `blocked`: whether a switch silences connections of this kind. */
  constructor(line: Line, blocked: () => boolean) {
    this.#line = line;
    this.#blocked = blocked;
  }

  /** Nothing passes any more, either way, and nobody is told. */
  freeze(): void {
    this.#frozen = true;
    this.#line.look();
  }

  /** The page or the gateway has ended it: whoever waits on it fails. */
  end(): void {
    this.#ended = true;
    this.#line.look();
  }

  get ended(): boolean {
    return this.#ended;
  }

  get silent(): boolean {
    return this.#frozen || this.#line.broken.offline || this.#blocked();
  }

  /** Resolves when bytes pass again, at once if they do now. Rejects when the connection ends before. */
  async passes(): Promise<void> {
    await this.#line.until(() => !this.silent || this.#ended);
    if (this.#ended) throw new Error("the connection has ended");
  }
}
