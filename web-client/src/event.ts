/** Anything JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [member: string]: Json | undefined };

/** A CloudEvent 1.0. Only `type` is needed; the gateway fills in `id`, `source`, `time` and the rest. */
export interface CloudEvent {
  readonly type: string;
  readonly id?: string;
  readonly source?: string;
  readonly subject?: string;
  /** RFC 3339. Default: when the gateway received the event. */
  readonly time?: string;
  readonly datacontenttype?: string;
  readonly data?: Json;
  /** Kafka record key. Default: the client's name. */
  readonly partitionkey?: string;
  /** Extension attributes: lower-case letters and digits. */
  readonly [attribute: string]: Json | undefined;
}
