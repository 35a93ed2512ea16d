import type { Bytes } from "../wire/bytes.js";
import { utf8 } from "../wire/writer.js";

/** The structured event with `id`, unless it has one. What is not a JSON object stays as it is. */
export function withId(payload: Bytes, id: string): Bytes {
  try {
    const event: unknown = JSON.parse(new TextDecoder().decode(payload));
    if (typeof event !== "object" || event === null || Array.isArray(event)) return payload;
    if ("id" in event && event.id !== null) return payload;
    return utf8(JSON.stringify({ ...event, id }));
  } catch {
    return payload;
  }
}
