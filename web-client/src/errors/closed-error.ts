import { TidegateError } from "./tidegate-error.js";

/** The client has been closed. */
export class ClosedError extends TidegateError {
  override readonly name = "ClosedError";
}
