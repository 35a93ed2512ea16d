import { TidegateError } from "./tidegate-error.js";

/** An option that `connect` does not know, or a value that it does not take. The message says what is allowed. */
export class OptionError extends TidegateError {
  override readonly name = "OptionError";
}
