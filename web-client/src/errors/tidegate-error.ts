/** Base of every error of this client. */
export class TidegateError extends Error {
  override readonly name: string = "TidegateError";
}
