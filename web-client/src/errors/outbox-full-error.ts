import { TidegateError } from "./tidegate-error.js";

/** No room in the outbox, and nothing in it that may give way. Nothing was taken; wait for acknowledgements and send again. */
export class OutboxFullError extends TidegateError {
  override readonly name = "OutboxFullError";
}
