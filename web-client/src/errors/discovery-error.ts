/** The discovery document could not be had, or is not one. */
export class DiscoveryError extends Error {
  override readonly name = "DiscoveryError";
}
