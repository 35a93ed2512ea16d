import { TidegateError } from "./tidegate-error.js";

/** The discovery document could not be had, or is not one. */
export class DiscoveryError extends TidegateError {
  override readonly name = "DiscoveryError";
}
