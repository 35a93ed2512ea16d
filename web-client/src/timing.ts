// How long the client waits for what.

/** For what is not settled when the client is closed. */
export const CLOSE_TIMEOUT_MS = 5_000;
/** For storage, when a slot is given back. */
export const RELEASE_TIMEOUT_MS = 2_000;
/** How often a leaving page lets its link go on before what is left is posted. */
export const LEAVING_TURNS = 64;
/** How often the client looks for events that other tabs left behind; after one that did not get through up to the other. */
export const ADOPT_MS = 30_000;
/** See `ADOPT_MS`. */
export const ADOPT_MAX_MS = 30 * 60_000;
