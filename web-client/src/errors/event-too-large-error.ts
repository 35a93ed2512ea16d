/** An event longer than the gateway takes. Nothing was taken. */
export class EventTooLargeError extends Error {
  override readonly name = "EventTooLargeError";
}
