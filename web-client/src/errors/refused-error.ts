import { TidegateError } from "./tidegate-error.js";

/** The gateway has ended the session and trying again would not help, or another instance has taken over. Events stay in the outbox. */
export class RefusedError extends TidegateError {
  override readonly name = "RefusedError";
  /** CLOSE code of the protocol, section 10. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
