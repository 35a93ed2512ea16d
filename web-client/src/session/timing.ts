// How long the session waits for what.

// A connection.

/** How often a connection looks at the clock. */
export const TICK_MS = 1_000;
/** Ticks this far apart mean that the page or the device slept. */
export const SLEPT_MS = 4_000;
/** For WELCOME. */
export const WELCOME_TIMEOUT_MS = 5_000;
/** Over HTTPS the gateway answers when what is under way has settled, and requests have their own end. */
export const WELCOME_HTTPS_MS = 40_000;
/** How long a gateway that owes an answer may be silent before it is asked, and how long until it must answer then. */
export const SILENCE_MS = 5_000;
/** Requests come after everything else, where networks are at their worst. */
export const SILENCE_HTTPS_MS = 15_000;
/** So many of the gateway's PING intervals without a word are silence, too. */
export const PINGS_MISSED = 2.5;
/** A connection that lasted so long was worth it. */
export const USEFUL_AFTER_MS = 30_000;
/** For the gateway's CLOSE after ours. */
export const FINISH_TIMEOUT_MS = 2_000;
/** Events go first. */
export const REPORT_FIRST_TICKS = 1;
/** Between reports. */
export const REPORT_TICKS = 60;

// A lane.

/** For discovery; then for all transports together. */
export const OPEN_TIMEOUT_MS = 10_000;
/** Between the starts of transports that race. */
export const STAGGER_MS = 500;
/** A better transport is not tried more often than this. */
export const UPGRADE_MIN_MS = 5_000;
/** Some browsers say offline when they are not. */
export const OFFLINE_MAX_MS = 30_000;
/** How long after a request of ours a takeover may be its doing: it was late. */
export const POSTED_MS = 60_000;
/** The same after another connection of ours. */
export const OVERTAKEN_MS = 10_000;

// The page.

/** The farewell must be at hand when the page goes, and is not needed before. */
export const FAREWELL_AFTER_MS = 2_000;

// Tokens.

/** For the application's token function. */
export const ANSWER_TIMEOUT_MS = 30_000;
/** A token is renewed so long before its end, or earlier, but not in the first half of its life. */
export const BEFORE_END_MS = 60_000;
/** And no sooner than this. */
export const RENEW_MIN_MS = 5_000;
/** Timers take no longer delay. */
export const DELAY_MAX_MS = 2 ** 31 - 1;
