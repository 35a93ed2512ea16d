import { Backoff } from "./backoff.js";
import { systemClock, within } from "./clock.js";
import { DiscoveryError } from "./errors/discovery-error.js";
import { FrameError } from "./errors/frame-error.js";
import { LinkError } from "./errors/link-error.js";
import { RefusedError } from "./errors/refused-error.js";
import { TidegateError } from "./errors/tidegate-error.js";
import { TokenError } from "./errors/token-error.js";
import { part } from "./part.js";
import { encoder } from "./wire/encoder.js";
import { integer } from "./wire/shape.js";

/** What of the start file the session needs too, and is given when it has been loaded: else there would be a third file, of what both import. */
export const shared = {
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
};
