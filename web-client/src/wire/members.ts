import { FrameError } from "../errors/frame-error.js";

/** The members of one JSON object, each read as the type it must have. Unknown members are ignored. */
export class Members {
  readonly #name: string;
  readonly #members: Readonly<Record<string, unknown>>;

  /** Throws `FrameError` unless `value` is a JSON object; `name` says in errors what it is. */
  constructor(name: string, value: unknown) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new FrameError(`${name} is not a JSON object`);
    }
    this.#name = name;
    this.#members = value as Record<string, unknown>;
  }

  /** Parses JSON text. */
  static parse(name: string, json: string): Members {
    try {
      return new Members(name, JSON.parse(json));
    } catch (error) {
      if (error instanceof FrameError) throw error;
      throw new FrameError(`${name} is not JSON: ${String(error)}`);
    }
  }

  has(member: string): boolean {
    return this.#members[member] !== undefined && this.#members[member] !== null;
  }

  /** An integer in 0..2^53-1. */
  integer(member: string): number {
    const value = this.#members[member];
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
      throw this.#wrong(member, "an integer in 0..2^53-1");
    }
    return value;
  }

  string(member: string): string {
    const value = this.#members[member];
    if (typeof value !== "string") throw this.#wrong(member, "a string");
    return value;
  }

  boolean(member: string): boolean {
    const value = this.#members[member];
    if (typeof value !== "boolean") throw this.#wrong(member, "true or false");
    return value;
  }

  /** One of `choices`. */
  choice<Choice extends string>(member: string, choices: readonly Choice[]): Choice {
    const value = this.#members[member];
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw this.#wrong(member, `one of ${choices.join(", ")}`);
    return found;
  }

  object(member: string): Members {
    return new Members(`${this.#name}.${member}`, this.#members[member]);
  }

  /** A list of JSON objects; an absent one is empty. */
  list(member: string): Members[] {
    if (!this.has(member)) return [];
    const value = this.#members[member];
    if (!Array.isArray(value)) throw this.#wrong(member, "a list");
    return value.map((element: unknown, index) => new Members(`${this.#name}.${member}[${index}]`, element));
  }

  #wrong(member: string, expected: string): FrameError {
    const value = JSON.stringify(this.#members[member])?.slice(0, 80) ?? "nothing";
    return new FrameError(`${this.#name}.${member}: expected ${expected}, found ${value}`);
  }
}
