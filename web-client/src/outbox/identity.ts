import type { Bytes } from "../wire/bytes.js";
import { text } from "../wire/reader.js";
import { utf8 } from "../wire/writer.js";

/** The structured event with `id`, unless it has one. What is not JSON stays as it is. */
export function withId(payload: Bytes, id: string): Bytes {
  try {
    const event = JSON.parse(text(payload));
    return event.id == null ? utf8(JSON.stringify({ ...event, id })) : payload;
  } catch {
    return payload;
  }
}
