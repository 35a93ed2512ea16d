import { TidegateError } from "./tidegate-error.js";

/** Not an event that the gateway would take. Nothing was taken. */
export class EventError extends TidegateError {
  override readonly name = "EventError";
}
