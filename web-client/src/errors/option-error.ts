import { TidegateError } from "./tidegate-error.js";

/** An option that `connect` does not know, a value that it does not take, or an event that `on` does not know. The message says what is allowed. */
export class OptionError extends TidegateError {
  override readonly name = "OptionError";
}
