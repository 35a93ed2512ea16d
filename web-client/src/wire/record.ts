import { encoder } from "./encoder.js";
import type { EventRecord } from "./frames.js";

/** An event's JSON, counted. Encoding is left to who sends it: ten thousand small buffers cost more than everything else that is done with them. */
export function recordOf(payload: string): EventRecord {
  return { payload, bytes: /[^ -~]/.test(payload) ? encoder.encode(payload).length : payload.length };
}
