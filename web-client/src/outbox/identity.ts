import type { EventRecord } from "../wire/frames.js";
import { recordOf } from "../wire/record.js";

/** The structured event with `id`, unless it has one. What is not JSON stays as it is. */
export function withId(record: EventRecord, id: string): EventRecord {
  try {
    const event = JSON.parse(record.payload);
    return event.id == null ? recordOf(JSON.stringify({ ...event, id })) : record;
  } catch {
    return record;
  }
}
