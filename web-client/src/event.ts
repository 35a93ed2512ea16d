import { EventError } from "./errors/event-error.js";
import type { EventRecord } from "./wire/frames.js";
import { recordOf } from "./wire/record.js";

/** Anything JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [member: string]: Json | undefined };

/** A CloudEvent 1.0. Only `type` is needed; the client fills in `time`, the gateway `id`, `source` and the rest. */
export interface CloudEvent {
  /** What happened, such as `order.placed`; not empty. */
  readonly type: string;
  /** Unique for its `source`. Default: made by the gateway of the client's name and the event's number. */
  readonly id?: string;
  /** Where it happened, a URI reference. Default: made by the gateway of the client's name. */
  readonly source?: string;
  /** What of the source it is about. */
  readonly subject?: string;
  /** RFC 3339. Default: when the event was handed over. */
  readonly time?: string;
  /** Of `data`. Default: `application/json`. */
  readonly datacontenttype?: string;
  /** What there is to say. */
  readonly data?: Json;
  /** Kafka record key. Default: the client's name. */
  readonly partitionkey?: string;
  /** Extension attributes: lower-case letters and digits. */
  readonly [attribute: string]: Json | undefined;
}

/** What is written behind an event that was handed over at `stampAt`, Unix ms: many come in one millisecond. */
let stamp = "";
let stampAt: number;

/** The event as it travels, with `time` filled in. `now` is Unix ms. Throws `EventError`; larger than `bytesMax` is one too. */
export function encodeEvent(event: CloudEvent, now: number, bytesMax: number): EventRecord {
  if (typeof event?.type !== "string" || event.type === "") {
    throw new EventError("event.type: expected a string that is not empty");
  }
  let json: string;
  try {
    // Faster than a copy of the event with `time`.
    json = JSON.stringify(event);
    if (!json.startsWith('{"')) throw new Error("it has no members of its own");
    if (event.time === undefined) {
      if (stampAt !== now) stamp = `,"time":"${new Date(now).toISOString()}"}`;
      stampAt = now;
      json = json.slice(0, -1) + stamp;
    }
  } catch (error) {
    throw new EventError(`event cannot be written as JSON: ${(error as Error).message}`);
  }
  const record = recordOf(json);
  if (record.bytes > bytesMax) throw new EventError(`event of ${record.bytes} bytes, at most ${bytesMax}`);
  return record;
}
