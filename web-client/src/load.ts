import { part } from "./part.js";
import type { StartSession } from "./session/session.js";
import { shared } from "./shared.js";

const load = part("startSession", () => import("./session/session.js"));

/** Loads the session, once. Where that fails the next call tries again. */
export async function loadStartSession(): Promise<StartSession> {
  const { share, startSession } = await load();
  share(shared);
  return startSession;
}
