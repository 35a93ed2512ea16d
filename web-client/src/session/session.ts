import type { Lane, LaneParts } from "../lane.js";
import { dialer } from "../link/dial.js";
import type { Farewell } from "../link/farewell.js";
import type { Dial, TransportName } from "../link/link.js";
import { loadHttps } from "../link/load.js";
import { isForeign } from "../link/origin.js";
import { Preference } from "../link/preference.js";
import type { Settings, Token } from "../options.js";
import type { Platform } from "../platform.js";
import { RunningLane } from "./lane.js";
import { FAREWELL_AFTER_MS } from "./timing.js";
import { type TokenListener, tokenSource } from "./token.js";

export { share } from "./shared.js";

/** The part of a client that talks to gateways: what its lanes have in common. */
export interface Session {
  /** Begins at once. */
  startLane(parts: LaneParts): Lane;
  /** Another token for all of them, from now on. */
  authenticate(token: Token | undefined): void;
  /** Nothing is asked of anybody any more. */
  stop(): void;
}

/** What a session works with. */
export interface SessionParts {
  readonly settings: Settings;
  readonly platform: Omit<Platform, "slots" | "session">;
  /** Renewing the token failed, and will be tried again; `null`: it works again. */
  readonly tokenFailed: TokenListener["failed"];
}

/** Begins a session, of which there is nothing before the first lane. */
export type StartSession = (parts: SessionParts) => Session;

/** What a session knows of the network; tests bring their own. */
export interface Network {
  readonly dial: (endpoint: URL, only?: readonly TransportName[]) => Dial;
  readonly preference: Preference;
  readonly isForeign: typeof isForeign;
  /** Loads what posts a page's last events. May reject; can be asked again then. */
  readonly farewell: () => Promise<Farewell>;
}

/** `StartSession`, in the network that there is. */
export function startSession(parts: SessionParts, network = thisNetwork(parts)): Session {
  const { settings, platform, tokenFailed } = parts;
  const lanes = new Set<Lane>();
  let farewell: Farewell | null = null;
  /** The gateway lets us in, or what keeps us out is not this page's origin. */
  let isAllowed = false;
  const cancelLoad = platform.clock.after(FAREWELL_AFTER_MS, load);
  const token = tokenSource(settings.token, platform, {
    renewed: (secret) => {
      for (const lane of lanes) lane.connection?.reauth(secret);
    },
    failed: tokenFailed,
  });

  /** It must be at hand when the page goes, and is not needed before. */
  function load() {
    // A file that could not be had may stay so until the page is loaded anew.
    if (farewell || !settings.farewell || !platform.page.online) return;
    network.farewell().then(
      (loaded) => {
        farewell = loaded;
      },
      () => {},
    );
  }

  return {
    startLane: (parts) => {
      const lane = new RunningLane({
        ...parts,
        ...network,
        settings,
        platform,
        token,
        farewell: () => farewell,
        isForeign: async (...way) => {
          if (!isAllowed) isAllowed = !(await network.isForeign(...way));
          return !isAllowed;
        },
        changed: (welcome) => {
          if (welcome) {
            isAllowed = true;
            load();
          }
          parts.changed(welcome);
        },
      });
      lanes.add(lane);
      void lane.ended.then(() => lanes.delete(lane));
      return lane;
    },
    authenticate: (given) => {
      token.replace(given);
      for (const lane of lanes) lane.authenticate();
    },
    stop: () => {
      cancelLoad();
      token.replace(undefined);
    },
  };
}

function thisNetwork({ settings, platform: { now } }: SessionParts): Network {
  return {
    dial: dialer,
    isForeign,
    preference: new Preference(settings.endpoint.origin, { now, storage: storageIfAny() }),
    farewell: async () => (await loadHttps()).farewell((...request) => fetch(...request)),
  };
}

/** Pages may be denied it, workers and Node have none. */
function storageIfAny(): globalThis.Storage | null {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}
