import { FrameError } from "../errors/frame-error.js";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 as text. Throws `FrameError` where it is not UTF-8. */
export function text(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new FrameError("text is not UTF-8");
  }
}
