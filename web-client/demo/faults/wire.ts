import type { Line } from "./line.js";

/** One live connection: silent while the line is, or for good once it was frozen. */
export class Wire {
  readonly #line: Line;
  readonly #blocked: () => boolean;
  #frozen = false;

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

  get silent(): boolean {
    return this.#frozen || this.#line.broken.offline || this.#blocked();
  }

  /** Resolves when bytes pass again, at once if they do now. */
  passes(): Promise<void> {
    return this.#line.until(() => !this.silent);
  }
}
