import type { Bytes } from "./bytes.js";

const encoder = new TextEncoder();

/** Text as UTF-8. */
export function utf8(text: string): Bytes {
  return encoder.encode(text);
}
