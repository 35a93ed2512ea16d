import { TidegateError } from "./tidegate-error.js";

/**
 * What happened to storage. `quota`: no space. `closed`: the database was closed, deleted or is of a later version. `lost`:
 * another tab has the slot. `released`: the slot was given back. `failed`: anything else.
 */
export type StorageFailure = "quota" | "closed" | "lost" | "released" | "failed";

/**
 * The browser's storage did not take or give something. Unless `reason` is `lost`, events live on in memory. The client deals with it: no
 * promise of its API rejects with it.
 */
export class StorageError extends TidegateError {
  override readonly name = "StorageError";
  /** What happened. */
  readonly reason: StorageFailure;

  constructor(reason: StorageFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}
