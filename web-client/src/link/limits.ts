/** What the gateway takes, in bytes and events. */
export interface Limits {
  readonly max_event_bytes: number;
  readonly max_frame_bytes: number;
  readonly max_batch_events: number;
  /** Of an HTTP request. */
  readonly max_body_bytes: number;
}

const LIMITS: Limits = {
  max_event_bytes: 256 * 1024,
  max_frame_bytes: 512 * 1024,
  max_batch_events: 1000,
  max_body_bytes: 4 * 1024 * 1024,
};

/** Those that a discovery document tells, and the protocol's own for others. Throws where one of them is not a positive integer. */
export function limitsOf(told: unknown): Limits {
  const limits = { ...LIMITS, ...(told as Partial<Limits>) };
  for (const name of Object.keys(LIMITS) as (keyof Limits)[]) {
    if (!Number.isSafeInteger(limits[name]) || limits[name] <= 0)
      throw new Error(`https: "${name}" of the gateway is wrong`);
  }
  return limits;
}
