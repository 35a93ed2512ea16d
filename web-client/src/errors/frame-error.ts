import { TidegateError } from "./tidegate-error.js";

/** Bytes that are not a frame of the ingest protocol, version 1. The connection they came from is of no more use. */
export class FrameError extends TidegateError {
  override readonly name = "FrameError";
}
