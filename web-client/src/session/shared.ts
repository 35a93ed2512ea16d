import type { shared } from "../shared.js";

type Shared = typeof shared;

// What the start file has and this one needs: imported from here, by everything that is loaded with the session. There is nothing in it
// before `share`.

export let Backoff: Shared["Backoff"];
export let DiscoveryError: Shared["DiscoveryError"];
export let encoder: Shared["encoder"];
export let FrameError: Shared["FrameError"];
export let integer: Shared["integer"];
export let LinkError: Shared["LinkError"];
export let part: Shared["part"];
export let RefusedError: Shared["RefusedError"];
export let systemClock: Shared["systemClock"];
export let TidegateError: Shared["TidegateError"];
export let TokenError: Shared["TokenError"];
export let within: Shared["within"];

/** To be called first. */
export function share(given: Shared): void {
  ({
    Backoff,
    DiscoveryError,
    encoder,
    FrameError,
    integer,
    LinkError,
    part,
    RefusedError,
    systemClock,
    TidegateError,
    TokenError,
    within,
  } = given);
}
