import { TidegateError } from "./tidegate-error.js";

/** A carrier that could not be opened, or broke. */
export class LinkError extends TidegateError {
  override readonly name = "LinkError";
  /** The WebSocket close code, where the carrier gave one. Codes of the protocol start at 4000. */
  readonly code: number | undefined;

  constructor(message: string, code?: number) {
    super(message);
    this.code = code;
  }

  /** What a carrier threw, in its own words; what this package threw stays as it is. */
  static from(carrier: string, error: unknown): TidegateError {
    if (error instanceof TidegateError) return error;
    return new LinkError(`${carrier}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
