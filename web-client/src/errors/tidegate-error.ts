/** What this package throws on purpose. */
export class TidegateError extends Error {
  /** The class, also where `instanceof` does not help: between two copies of this package. */
  override readonly name: string = "TidegateError";
}
