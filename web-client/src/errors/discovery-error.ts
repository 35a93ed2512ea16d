import { TidegateError } from "./tidegate-error.js";

/** The discovery document could not be had, or is not one. */
export class DiscoveryError extends TidegateError {
  override readonly name = "DiscoveryError";
  /** The gateway asked for this wait; `null`: it did not. */
  readonly retryMs: number | null;

  constructor(message: string, retryMs: number | null = null) {
    super(message);
    this.retryMs = retryMs;
  }
}
