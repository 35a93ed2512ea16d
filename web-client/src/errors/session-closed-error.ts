/** An event for a session that has ended for good. Nothing was taken. */
export class SessionClosedError extends Error {
  override readonly name = "SessionClosedError";
}
