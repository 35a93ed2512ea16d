// Numbers of this folder in a file without imports: there esbuild puts them where they are used.

export const CHUNK_EVENTS_MAX = 256;
/** A chunk of as many bytes takes no further event. */
export const CHUNK_BYTES_MAX = 64 * 1024;
export const TRIM_DELAY_MS = 100;
/** After a failure events are tried again no sooner. */
export const RETRY_MS = 5_000;
/** Of the database. */
export const VERSION = 1;
export const OPEN_TIMEOUT_MS = 3_000;
export const WRITE_TIMEOUT_MS = 10_000;
export const SLOTS_MAX = 64;
/** How far ahead numbers are reserved. */
export const RESERVE = 256;
/** What has waited too long is looked for no more often. */
export const EXPIRY_MIN_MS = 1_000;
/** And no more seldom while something waits: timers stand still while a device sleeps. */
export const EXPIRY_MAX_MS = 60 * 60_000;
