/** What this package throws on purpose. */
export class TidegateError extends Error {
  override readonly name: string = "TidegateError";
}
