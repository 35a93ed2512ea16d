import type { Clock } from "../clock.js";
import {
  PINGS_MISSED,
  SILENCE_HTTPS_MS,
  SILENCE_MS,
  SLEPT_MS,
  TICK_MS,
  WELCOME_HTTPS_MS,
  WELCOME_TIMEOUT_MS,
} from "./timing.js";

/** Finds out whether the gateway at the other end of a link is still there. */
export interface Liveness {
  /** It has said something. */
  heard(): void;
  /** It has answered HELLO, and owes us nothing at the moment; says PING itself every `pingMs`, where that is known now. */
  quiet(pingMs?: number): void;
  /** Asks at once, after something that links do not always survive. */
  probe(): void;
  /** Looks no more. */
  stop(): void;
}

/** What it works with. */
export interface LivenessParts {
  readonly clock: Clock;
  readonly isHttps: boolean;
  /** Asks the gateway for a word. */
  readonly ping: () => void;
  /** Whether something waits for the gateway. */
  readonly waits: () => boolean;
  /** It fell silent. `excused`: perhaps for a reason of this device, and not of the transport. */
  readonly silent: (excused: boolean) => void;
  /** Called every second or so. */
  readonly ticked: () => void;
}

/** Begins with HELLO. */
export function newLiveness({ clock, isHttps, ping, waits, silent, ticked }: LivenessParts): Liveness {
  const silenceMs = isHttps ? SILENCE_HTTPS_MS : SILENCE_MS;
  let tickedAt = clock.now();
  let heardAt = tickedAt;
  /** When something must have been heard. */
  let answerBy = tickedAt + (isHttps ? WELCOME_HTTPS_MS : WELCOME_TIMEOUT_MS);
  let pingMs = 0;
  /** It was asked for a word after a sleep, and has not been heard since. */
  let woken = false;
  /** Silence would not be the transport's fault. */
  let excused = false;
  let cancel = () => {};

  const ask = () => {
    answerBy = Math.min(answerBy, clock.now() + silenceMs);
    ping();
  };
  const probe = () => {
    excused = true;
    ask();
  };

  const tick = () => {
    cancel = clock.after(TICK_MS, tick);
    const now = clock.now();
    const silentMs = now - heardAt;
    const slept = now - tickedAt > SLEPT_MS;
    tickedAt = now;
    if (slept && !woken) {
      // What had to be heard meanwhile may be on its way in just now. Where timers come once a minute each tick follows a sleep.
      woken = true;
      heardAt = now;
      answerBy = Number.POSITIVE_INFINITY;
      probe();
    } else if (now >= answerBy) silent(excused);
    else if (answerBy === Number.POSITIVE_INFINITY && silentMs >= silenceMs) {
      // The gateway's own PINGs show that it is there while nothing is sent.
      if (waits() || silentMs > PINGS_MISSED * pingMs) ask();
    }
    ticked();
  };

  tick();
  return {
    heard: () => {
      heardAt = clock.now();
      excused = woken = false;
    },
    quiet: (ms = pingMs) => {
      pingMs = ms;
      answerBy = Number.POSITIVE_INFINITY;
    },
    probe,
    stop: () => cancel(),
  };
}
