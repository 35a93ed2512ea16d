import { TidegateError } from "./tidegate-error.js";

/** The application's token function threw, took too long, or answered something that is no token. It is called again later. */
export class TokenError extends TidegateError {
  override readonly name = "TokenError";
}
